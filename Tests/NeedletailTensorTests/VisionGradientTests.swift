import NeedletailTensor
import Testing

/// Convolutions, pooling and normalisation with their options, checked as GradientTests checks the others.
private let cases: [GradientCase] = [
    GradientCase("conv2d", [[2, 2, 4, 5], [3, 2, 3, 2], [3]]) { conv2d($0[0], weight: $0[1], bias: $0[2]) },
    GradientCase("conv2d, padding, stride, relu", [[1, 2, 5, 6], [3, 2, 3, 3], [3]]) {
        conv2d($0[0], weight: $0[1], bias: $0[2], stride: [2, 1], padding: [1, 2], activation: .relu)
    },
    GradientCase("conv2d, stride beyond the kernel, gelu", [[1, 1, 7, 7], [2, 1, 2, 1]]) {
        conv2d($0[0], weight: $0[1], stride: 3, activation: .gelu)
    },
    GradientCase("conv2d, dilation, groups", [[2, 4, 5, 5], [6, 2, 2, 2]]) {
        conv2d($0[0], weight: $0[1], padding: 1, dilation: [2, 1], groups: 2)
    },
    GradientCase("conv2d, one channel a group", [[1, 3, 4, 4], [3, 1, 3, 3]]) {
        conv2d($0[0], weight: $0[1], padding: 1, groups: 3)
    },
    GradientCase("conv1d", [[2, 2, 6], [3, 2, 3], [3]]) {
        conv1d($0[0], weight: $0[1], bias: $0[2], stride: 2, padding: 1, activation: .gelu)
    },
    GradientCase("convTranspose2d", [[2, 2, 3, 3], [2, 3, 3, 2], [3]]) {
        convTranspose2d(
            $0[0], weight: $0[1], bias: $0[2], stride: 2, padding: [1, 0], outputPadding: 1, activation: .relu)
    },
    GradientCase("two convolutions, relu taken over", [[1, 2, 4, 4], [3, 2, 3, 3], [2, 3, 2, 2]]) {
        conv2d(conv2d($0[0], weight: $0[1], padding: 1, activation: .relu), weight: $0[2])
    },
    GradientCase("two convolutions, gelu taken over", [[1, 2, 4, 4], [3, 2, 3, 3], [2, 3, 2, 2]]) {
        conv2d(conv2d($0[0], weight: $0[1], padding: 1, activation: .gelu), weight: $0[2])
    },
    GradientCase("an activated convolution with two consumers", [[1, 2, 4, 4], [2, 2, 3, 3], [2, 2, 3, 3]]) {
        let y = conv2d($0[0], weight: $0[1], padding: 1, activation: .relu)
        return conv2d(y, weight: $0[2], padding: 1) + y * 2
    },
    GradientCase("convolution, relu and linear", [[2, 1, 3, 3], [2, 1, 2, 2], [3, 8]]) {
        linear(conv2d($0[0], weight: $0[1], activation: .relu).flattened(from: 1), weight: $0[2])
    },
    GradientCase("a linear layer along an activated convolution's last axis", [[1, 2, 3, 3], [2, 2, 2, 2], [3, 2]]) {
        linear(conv2d($0[0], weight: $0[1], activation: .relu), weight: $0[2])
    },
    GradientCase("relu of its own after a convolution", [[1, 1, 4, 4], [2, 1, 3, 3]]) {
        conv2d($0[0], weight: $0[1]).relu()
    },
    GradientCase("maxPool2d", [[2, 2, 4, 6]]) { maxPool2d($0[0], kernel: 2) },
    GradientCase("maxPool2d, rows left over", [[1, 2, 5, 5]]) { maxPool2d($0[0], kernel: 2) },
    GradientCase("maxPool2d, overlapping, padded", [[1, 2, 5, 6]]) {
        maxPool2d($0[0], kernel: 3, stride: [1, 2], padding: 1)
    },
    GradientCase("maxPool2d takes a relu over", [[1, 1, 4, 4], [2, 1, 3, 3]]) {
        maxPool2d(conv2d($0[0], weight: $0[1], padding: 1, activation: .relu), kernel: 2)
    },
    GradientCase("maxPool2d after gelu", [[1, 1, 4, 4], [2, 1, 3, 3]]) {
        maxPool2d(conv2d($0[0], weight: $0[1], padding: 1, activation: .gelu), kernel: 2)
    },
    GradientCase("maxPool1d", [[2, 2, 6]]) { maxPool1d($0[0], kernel: 3, stride: 2, padding: 1) },
    GradientCase("averagePool2d", [[2, 2, 4, 4]]) { averagePool2d($0[0], kernel: 2) },
    GradientCase("averagePool2d, overlapping, padded", [[1, 2, 5, 5]]) {
        averagePool2d($0[0], kernel: 3, stride: 2, padding: 1)
    },
    GradientCase("averagePool2d, padding left out", [[1, 2, 5, 5]]) {
        averagePool2d($0[0], kernel: 3, stride: 2, padding: 1, countsPadding: false)
    },
    GradientCase("averagePool1d", [[2, 2, 6]]) { averagePool1d($0[0], kernel: 2) },
    GradientCase("adaptiveAveragePool2d", [[2, 2, 5, 7]]) { adaptiveAveragePool2d($0[0], output: [2, 3]) },
    GradientCase("adaptiveAveragePool2d, larger", [[1, 2, 2, 3]]) { adaptiveAveragePool2d($0[0], output: [5, 4]) },
    GradientCase("batchNormalization, images", [[3, 2, 2, 3], [2], [2]]) {
        batchNormalization($0[0], weight: $0[1], bias: $0[2], activation: .relu).result
    },
    GradientCase("batchNormalization, rows", [[5, 3], [3], [3]]) {
        batchNormalization($0[0], weight: $0[1], bias: $0[2], activation: .gelu).result
    },
    GradientCase("batchNormalization, sequences", [[3, 2, 4]]) { batchNormalization($0[0]).result },
    GradientCase("batchNormalization, given statistics", [[3, 2, 2, 2], [2], [2]]) {
        batchNormalization(
            $0[0], mean: Tensor([0.5, -1]), variance: Tensor([2.0, 0.5]), weight: $0[1], bias: $0[2])
    },
    GradientCase("convolution, normalisation, relu, pooling", [[2, 1, 4, 4], [2, 1, 3, 3], [2], [2]]) {
        let z = conv2d($0[0], weight: $0[1], padding: 1)
        return maxPool2d(batchNormalization(z, weight: $0[2], bias: $0[3], activation: .relu).result, kernel: 2)
    },
    GradientCase("groupNormalization", [[2, 4, 2, 3], [4], [4]]) {
        groupNormalization($0[0], groups: 2, weight: $0[1], bias: $0[2], activation: .relu)
    },
    GradientCase("groupNormalization, one group", [[2, 3, 4]]) { groupNormalization($0[0], groups: 1) },
]

@Suite struct VisionGradientTests {
    @Test(arguments: cases) func gradientIsThatOfDifferences(_ testCase: GradientCase) throws {
        try checkGradients(testCase)
    }

    /// Parameters of 16 bits accumulate in float32: a convolution's weight gradient is not rounded to them.
    @Test(arguments: [DType.bfloat16, .float16]) func parametersGradientsAreFloat32(_ compute: DType) throws {
        var generator = SeededGenerator(seed: 3)
        let weight = Parameter(.uniform([4, 3, 3, 3], in: -1..<1, using: &generator))
        let bias = Parameter(.zeros([4]))
        for parameter in [weight, bias] { parameter.setTypes(storage: .float32, compute: compute) }
        let x = Tensor.uniform([2, 3, 9, 9], in: -1..<1, using: &generator).cast(to: compute)
        let y = conv2d(x, weight: weight.value, bias: bias.value, padding: 1)
        #expect(y.dtype == compute && y.shape == [2, 4, 9, 9])
        y.cast(to: .float32).sum().backward()
        let gradient = try #require(weight.gradient)
        #expect(gradient.dtype == .float32 && bias.gradient?.dtype == .float32)
        #expect(gradient.cast(to: compute).cast(to: .float32).bytes != gradient.bytes)
        #expect(bias.gradient?.scalars(as: Float.self) == [162, 162, 162, 162])
    }

    /// Channels-first tensors turned round and back have every element where it was.
    @Test func channelsLastViewsKeepTheirElements() {
        for dtype in [DType.float32, .bfloat16, .uint8, .float64] {
            let image = Tensor((0..<2 * 3 * 35 * 37).map { Double($0 % 251) }, shape: [2, 3, 35, 37]).cast(to: dtype)
            let last = image.permuted([0, 2, 3, 1]).contiguous()
            #expect(last[1][34][36].scalars(as: Double.self) == (0..<3).map { image[1][$0][34][36].item() })
            #expect(last.permuted([0, 3, 1, 2]).contiguous().bytes == image.bytes)
        }
    }
}

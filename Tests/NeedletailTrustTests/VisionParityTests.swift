// Convolutions, pooling and normalisation against PyTorch, forward and backward: Tests/parity/vision.py makes the fixture, the
// bounds are those of OperationParityTests.
import Foundation
import Needletail
import Testing

/// The operations of Tests/parity/vision.py, as this package writes them.
enum VisionOperation: String, ParityTable {
    case conv2d, conv1d, convTranspose2d
    case maxPool2d, averagePool2d, adaptiveAveragePool2d
    case batchNorm, batchNormGiven, groupNorm

    func apply(_ x: [Tensor], _ indices: [Tensor], _ test: ParityCase) throws -> Tensor {
        func pair(_ name: String) throws -> Pair {
            let numbers = try test.integers(name)
            return Pair(numbers[0], numbers[1])
        }
        func activation() throws -> Activation { [.identity, .relu, .gelu][try test.integer("activation")] }
        switch self {
        case .conv2d:
            return NeedletailTensor.conv2d(
                x[0], weight: x[1], bias: x.count > 2 ? x[2] : nil, stride: try pair("stride"),
                padding: try pair("padding"), dilation: try pair("dilation"), groups: try test.integer("groups"),
                activation: try activation())
        case .conv1d:
            return NeedletailTensor.conv1d(
                x[0], weight: x[1], bias: x.count > 2 ? x[2] : nil, stride: try test.integer("stride"),
                padding: try test.integer("padding"), dilation: try test.integer("dilation"),
                groups: try test.integer("groups"), activation: try activation())
        case .convTranspose2d:
            return NeedletailTensor.convTranspose2d(
                x[0], weight: x[1], bias: x.count > 2 ? x[2] : nil, stride: try pair("stride"),
                padding: try pair("padding"), outputPadding: try pair("extra"), dilation: try pair("dilation"),
                groups: try test.integer("groups"), activation: try activation())
        case .maxPool2d:
            return NeedletailTensor.maxPool2d(
                x[0], kernel: try pair("kernel"), stride: try pair("stride"), padding: try pair("padding"))
        case .averagePool2d:
            return NeedletailTensor.averagePool2d(
                x[0], kernel: try pair("kernel"), stride: try pair("stride"), padding: try pair("padding"),
                countsPadding: try test.integer("counts") == 1)
        case .adaptiveAveragePool2d:
            return NeedletailTensor.adaptiveAveragePool2d(x[0], output: try pair("output"))
        case .batchNorm:
            return batchNormalization(
                x[0], weight: x.count > 1 ? x[1] : nil, bias: x.count > 1 ? x[2] : nil, epsilon: 0.25,
                activation: try activation()
            ).result
        case .batchNormGiven:
            return batchNormalization(
                x[0], mean: Tensor(try #require(test.options["mean"])),
                variance: Tensor(try #require(test.options["variance"])), weight: x.count > 1 ? x[1] : nil,
                bias: x.count > 1 ? x[2] : nil, epsilon: 0.25, activation: try activation())
        case .groupNorm:
            return groupNormalization(
                x[0], groups: try test.integer("groups"), weight: x.count > 1 ? x[1] : nil,
                bias: x.count > 1 ? x[2] : nil, epsilon: 0.25, activation: try activation())
        }
    }
}

extension OperationParityTests {
    @Test func visionOperationsFollowPyTorch() throws {
        let path = try #require(Bundle.module.url(forResource: "Fixtures/vision", withExtension: "safetensors")).path
        let worst = try compare(path, VisionOperation.self)
        // Each operation; a file that holds less proves less.
        #expect(worst.count == VisionOperation.allCases.count)
        for (operation, (ratio, _)) in worst {
            #expect(ratio > 0 || operation == "maxPool2d", "\(operation) compared nothing")
        }
    }
}

// Gradients that meet at one tensor: from slices, rows picked by index, views of views and whole tensors, in every order.
import NeedletailTensor
import Testing

/// Picks elements of a tensor of any type, so that the same steps on the elements' numbers say where each came from.
private struct Selection {
    var steps: [(Tensor) -> Tensor] = []

    func callAsFunction(_ x: Tensor) -> Tensor { steps.reduce(x) { $1($0) } }

    /// Up to four steps that suit a tensor of `shape`.
    static func random(_ shape: [Int], _ generator: inout SeededGenerator) -> Selection {
        var selection = Selection()
        var sample = Tensor.zeros(shape)
        for _ in 0...generator.nextInteger(below: 4) {
            guard let step = randomStep(sample.shape, &generator) else { continue }
            selection.steps.append(step)
            sample = step(sample)
        }
        return selection
    }

    private static func randomStep(_ shape: [Int], _ generator: inout SeededGenerator) -> ((Tensor) -> Tensor)? {
        guard !shape.isEmpty, shape.reduce(1, *) < 120 else { return nil }
        let axis = generator.nextInteger(below: shape.count), size = shape[axis]
        let first = generator.nextInteger(below: size), last = first + generator.nextInteger(below: size - first + 1)
        let count = shape.reduce(1, *)
        switch generator.nextInteger(below: 9) {
        case 0, 1: return { $0.slice(axis: axis, first..<max(last, first + 1)) }
        case 2: return { [size = shape[0]] in $0[first % size] }
        case 3: return { $0.transposed(0, axis) }
        case 4: return { $0.reshape([count]) }
        case 5: return { $0.expandedDimension(at: axis) }
        case 6: return { $0.expandedDimension(at: 0).broadcast(to: [2] + shape) }
        case 7:
            let chosen = (0..<count).map { _ in Int64(generator.nextInteger(below: size)) }
            return { $0.gather(axis: axis, indices: Tensor(chosen, shape: shape)) }
        default: return { Tensor.concatenate([$0, $0.slice(axis: axis, first..<size)], axis: axis) }
        }
    }
}

@Suite struct GradientSumTests {
    /// A selection has at most 240 elements, their weights are -1, 0 or 1: sums inside it are exact in every type, and the sum of
    /// all of them in float32. The gradient must be the reference's, rounded once, to the last bit.
    @Test(arguments: floatingTypes) func selectionsAddUpToTheDenseGradient(_ dtype: DType) {
        var generator = SeededGenerator(seed: 41)
        for round in 0..<60 {
            let shape = (0...generator.nextInteger(below: 4)).map { _ in 1 + generator.nextInteger(below: 5) }
            let x = Tensor.zeros(shape, dtype: dtype).trackingGradient()
            // The selections' input: a leaf, an operation's result, or a view.
            let input = [x, x * 1, x.expandedDimension(at: 0).squeezed(at: 0)][round % 3]
            let numbers = Tensor.arange(x.count).reshape(shape)
            var expected = [Double](repeating: 0, count: x.count)
            var loss = Tensor(0, dtype: dtype)
            for _ in 0...generator.nextInteger(below: 30) {
                let selection = Selection.random(shape, &generator)
                let chosen = selection(input), places: [Int64] = selection(numbers).scalars()
                let weights = places.map { _ in Double(generator.nextInteger(below: 3) - 1) }
                for (place, weight) in zip(places, weights) { expected[Int(place)] += weight }
                loss = loss + (chosen * Tensor(weights, shape: chosen.shape).cast(to: dtype)).sum()
            }
            let found = gradients(of: loss, withRespectTo: [x])[0]
            let isRight = found.scalars(as: Double.self) == Tensor(expected).cast(to: dtype).scalars(as: Double.self)
            #expect(isRight, "round \(round), \(dtype) \(shape)")
        }
    }

    /// 1 and a thousand times 2⁻¹⁰: a sum that is rounded to 16 bits after every addition stays 1.
    @Test(arguments: [DType.bfloat16, .float16]) func theSumOfManyIsRoundedOnce(_ dtype: DType) {
        let small = 0x1p-10, terms = 1000
        for usesSlices in [false, true] {
            let x = Tensor.zeros([4], dtype: dtype).trackingGradient()
            let y = x * 1
            var loss = (y * 1).sum()
            for _ in 0..<terms { loss = loss + ((usesSlices ? y.slice(axis: 0, 0..<4) : y) * small).sum() }
            let expected = Tensor([1 + Double(terms) * small]).cast(to: dtype).item()  // the sum is exact in float32
            let found: [Double] = gradients(of: loss, withRespectTo: [x])[0].scalars()
            #expect(found == [Double](repeating: expected, count: 4), "\(dtype), slices \(usesSlices)")
        }
    }

    /// Few terms wait and are added in one pass: the bits of float32 additions in the same order and one rounding.
    @Test(arguments: floatingTypes, 1...9) func termsAreAddedInTheirOrder(_ dtype: DType, _ count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let weights = (0..<count).map { _ in Tensor.normal([1037], dtype: dtype, using: &generator) }
        let x = Tensor.zeros([1037], dtype: dtype).trackingGradient()
        let y = x * 1
        var loss = Tensor(0, dtype: dtype)
        for weight in weights { loss = loss + (y * weight).sum() }
        let found = gradients(of: loss, withRespectTo: [x])[0]
        // Backward meets the products last to first.
        var sum = weights[count - 1].cast(to: dtype.accumulationType)
        for weight in weights.dropLast().reversed() { sum = sum + weight.cast(to: dtype.accumulationType) }
        #expect(found.bytes == sum.cast(to: dtype).bytes)
    }

    /// What `+` sends to both of its operands is one tensor: adding to the one's sum must not change the other's.
    @Test(arguments: floatingTypes) func gradientsThatAreSharedStayAsTheyAre(_ dtype: DType) {
        let a = Tensor.zeros([3], dtype: dtype).trackingGradient()
        let b = Tensor.zeros([3], dtype: dtype).trackingGradient()
        let (p, q) = (a * 1, b * 1)
        var loss = (p[0..<2] * 8).sum() + (p[1..<3] * 16).sum()
        for _ in 0..<6 { loss = loss + (p * 32).sum() }
        let shared = (p + q) + q
        loss = loss + shared.sum()
        let found = gradients(of: loss, withRespectTo: [a, b]).map { $0.scalars(as: Double.self) }
        #expect(found[0] == [201, 217, 209])  // 1 + 6 · 32 and what the two slices add
        #expect(found[1] == [2, 2, 2])
    }

    @Test func threadsChangeNoBit() {
        func run(_ threads: Int, _ dtype: DType) -> [UInt8] {
            withThreads(threads) {
                var generator = SeededGenerator(seed: 3)
                let x = Tensor.normal([40, 200, 90], dtype: dtype, using: &generator).trackingGradient()
                let y = x * 1.5
                var loss = Tensor(0, dtype: dtype)
                for step in 0..<24 {
                    let part = step % 3 == 0 ? y : y.slice(axis: step % 3, step..<90)
                    loss = loss + (part * Tensor.normal(part.shape, dtype: dtype, using: &generator)).sum()
                }
                return gradients(of: loss, withRespectTo: [x])[0].bytes
            }
        }
        for dtype in floatingTypes { #expect(run(1, dtype) == run(4, dtype), "\(dtype)") }
    }

    /// Thousands of consumers of one node and thousands of leaves; the waiting nodes come in every order.
    @Test func wideGraphsAreWalked() {
        let count = 20_000
        let leaves = (0..<count).map { Tensor([Float($0 % 7)]).trackingGradient() }
        var sum = leaves[0] * 0
        for index in 0..<count { sum = sum + leaves[index * 7919 % count] * Double(index % 5) }
        let loss = (sum + Tensor.stack(leaves.reversed()).sum()).sum()
        let found = gradients(of: loss, withRespectTo: leaves).map { $0.item() }
        var expected = [Double](repeating: 1, count: count)
        for index in 0..<count { expected[index * 7919 % count] += Double(index % 5) }
        #expect(found == expected)
    }

    /// A backward that holds its input's node must not keep a deep graph from being freed in a loop.
    @Test func deepGraphsOfEveryKindOfNodeAreFreed() {
        let weight = Parameter(Tensor([1] as [Float], shape: [1, 1]))
        let kinds: [(String, (Tensor) -> Tensor)] = [
            ("slice", { $0.slice(axis: 0, 0..<1) }), ("linear", { linear($0, weight: weight.value) }),
            ("silu", { $0.silu() }), ("linear with relu", { linear($0, weight: weight.value, activation: .relu) }),
        ]
        for (name, operation) in kinds {
            let x = Tensor([1] as [Float], shape: [1, 1]).trackingGradient()
            var y = x
            for _ in 0..<100_000 { y = operation(y) }
            #expect(gradients(of: y.sum(), withRespectTo: [x])[0].count == 1, "\(name)")
        }
    }

    /// A parameter's gradient from a norm, which stays float32, meets one from a penalty.
    @Test(arguments: [DType.float16, .bfloat16, .float32, .float64]) func normsAndPenaltiesMeet(_ dtype: DType) {
        let weight = Parameter(.ones([4], dtype: dtype))
        let x = exactValues([8, 4, 2], seed: 4, dtype: dtype)
        let normalized = batchNormalization(x, weight: weight.value).result
        let grouped = groupNormalization(x, groups: 2, weight: weight.value)
        let terms = [normalized, grouped, weight.value * weight.value].map { $0.cast(to: .float64).sum() }
        (terms[0] + terms[1] + terms[2]).backward()
        // 2 w, and sums of 16 normalised values of at most 4, each within 8 ulps of its own, here and in the reference; then one
        // rounding of a sum of at most 4 to the parameter's type, where the gradient passes through it.
        let found: [Double] = weight.gradient?.scalars() ?? []
        let groups = withoutGradients { groupNormalization(x.cast(to: .float64), groups: 2) }
        let sums: [Double] = groups.sum(axes: [0, 2]).scalars()
        for channel in 0..<4 {
            let bound = 2 * 16 * 8 * 4 * unitRoundoff(dtype.accumulationType) + 4 * unitRoundoff(dtype)
            #expect(abs(found[channel] - 2 - sums[channel]) <= bound, "\(dtype) channel \(channel)")
        }
    }
}

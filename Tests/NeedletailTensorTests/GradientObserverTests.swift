import NeedletailTensor
import Testing

@Suite struct GradientObserverTests {
    /// x -> linear -> activation -> linear: the observer of the inner result sees dZ, also where the outer product takes the
    /// activation's derivative over.
    @Test(arguments: Activation.allCases) func sees(activation: Activation) {
        var generator = SeededGenerator(seed: 5)
        let x = Tensor.normal([4, 6], dtype: .float16, using: &generator)
        let inner = Parameter(.normal([5, 6], dtype: .float16, using: &generator))
        let outer = Parameter(.normal([3, 5], dtype: .float16, using: &generator))
        func run(observing: Bool) -> (gradients: [[UInt8]], seen: [Tensor]) {
            var seen: [Tensor] = []
            let hidden = linear(x, weight: inner.value, activation: activation)
            if observing {
                hidden.observeGradient { seen.append($0) }
                hidden.observeGradient { _ in Issue.record("the first observer stays") }
            }
            inner.zeroGradient()
            outer.zeroGradient()
            linear(hidden, weight: outer.value).sum().backward(seed: 2)
            return ([inner, outer].compactMap { $0.gradient?.bytes }, seen)
        }
        let plain = run(observing: false), observed = run(observing: true)
        #expect(plain.gradients == observed.gradients && plain.gradients.count == 2)
        #expect(plain.seen.isEmpty && observed.seen.count == 1)
        // dW = dZᵀ X: four products of 16-bit values, exact in float32, and three sums, each within u of a partial sum that
        // is at most Σ|dz x|: 3 u Σ|dz x| with u = 2^-24, twice over because the order of the sums may differ.
        let dz = observed.seen[0].cast(to: .float64), wide = x.cast(to: .float64)
        let exact = dz.transposed().matmul(wide).scalars(as: Double.self)
        let bound = dz.abs().transposed().matmul(wide.abs()).scalars(as: Double.self).map { 6 * 0x1p-24 * $0 }
        let found = Tensor(bytes: plain.gradients[0], shape: [5, 6], dtype: .float32).scalars(as: Double.self)
        for index in exact.indices { #expect(abs(found[index] - exact[index]) <= bound[index], "\(index)") }
    }

    @Test func nothingToSeeWhereNothingIsRecorded() {
        Tensor([1] as [Float]).observeGradient { _ in Issue.record("called") }
        let parameter = Parameter(Tensor([1] as [Float]))
        parameter.value.observeGradient { _ in Issue.record("called for a leaf") }
        parameter.value.sum().backward()
        #expect(parameter.gradient?.item() == 1)
    }
}

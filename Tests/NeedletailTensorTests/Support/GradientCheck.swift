// Central differences in float64 against the recorded gradient.
import NeedletailTensor
import Testing

/// One operation to be checked: its inputs' shapes and the range that they are drawn from (away from kinks and poles).
struct GradientCase: CustomTestStringConvertible, Sendable {
    let name: String
    let shapes: [[Int]]
    let range: Range<Double>
    let function: @Sendable ([Tensor]) throws -> Tensor

    init(
        _ name: String, _ shapes: [[Int]], _ range: Range<Double> = -2..<2,
        _ function: @escaping @Sendable ([Tensor]) throws -> Tensor
    ) {
        self.name = name
        self.shapes = shapes
        self.range = range
        self.function = function
    }

    var testDescription: String { name }
}

/// Compares d(Σ w·f(x))/dx, w random, with (F(x + h) - F(x - h)) / 2h for every element of every input.
///
/// Tolerances: with h = 1e-6 the truncation error is h²/6 · |F‴| ≈ 1e-12 and the rounding error about
/// |F| · 2⁻⁵³ / h ≈ 1e-10 · |F|; 1e-5 absolute and 1e-3 relative (as PyTorch's gradcheck) lie far above both and far below
/// any wrong factor or missing term.
func checkGradients(_ testCase: GradientCase, seed: UInt64 = 7) throws {
    var generator = SeededGenerator(seed: seed)
    let inputs = testCase.shapes.map {
        Tensor.uniform($0, in: testCase.range, dtype: .float64, using: &generator)
    }
    let sample = try withoutGradients { try testCase.function(inputs) }
    let weights = Tensor.uniform(sample.shape, in: -1..<1, dtype: .float64, using: &generator)
    func objective(_ inputs: [Tensor]) throws -> Tensor { (try testCase.function(inputs) * weights).sum() }

    func analytic() throws -> [Tensor] {
        let tracked = inputs.map { $0.trackingGradient() }
        return gradients(of: try objective(tracked), withRespectTo: tracked)
    }
    let found = try analytic()
    let again = try analytic()
    for (first, second) in zip(found, again) {
        #expect(first.bytes == second.bytes, "\(testCase.name): two runs differ in their bits")
    }

    let step = 1e-6
    for (position, input) in inputs.enumerated() {
        let values: [Double] = input.scalars()
        let gradient: [Double] = found[position].scalars()
        #expect(found[position].shape == input.shape)
        for index in values.indices {
            func shifted(_ offset: Double) throws -> Double {
                var moved = values
                moved[index] += offset
                var arguments = inputs
                arguments[position] = Tensor(moved, shape: input.shape)
                return try withoutGradients { try objective(arguments) }.item()
            }
            let expected = (try shifted(step) - (try shifted(-step))) / (2 * step)
            let error = abs(gradient[index] - expected)
            let isClose = error <= 1e-5 + 1e-3 * abs(expected)
            #expect(
                isClose,
                "\(testCase.name), input \(position), element \(index): gradient \(gradient[index]), difference \(expected)"
            )
        }
    }
}

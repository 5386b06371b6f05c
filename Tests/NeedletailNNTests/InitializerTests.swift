// First values: bounds, spread, determinism.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct InitializerTests {
    @Test func linearDefaultHasPyTorchsBound() {
        var generator = SeededGenerator(seed: 7)
        let layer = Linear(64, 500, using: &generator)
        // U(-b, b) with b = 1/8. A draw may round to b itself in float32. n = 32,000 draws: the mean has deviation
        // b / sqrt(3 n) = 4.1e-4 and the mean square b^2 / 3 a relative deviation of sqrt(4 / (5 n)) = 5e-3; six
        // deviations.
        let weight = layer.weight.master.scalars(as: Double.self)
        #expect(weight.allSatisfy { abs($0) <= 0.125 })
        #expect(weight.contains { $0 > 0.124 } && weight.contains { $0 < -0.124 })
        #expect(abs(weight.reduce(0, +)) / 32_000 <= 6 * 4.1e-4)
        let meanSquare = weight.reduce(0) { $0 + $1 * $1 } / 32_000
        #expect(abs(meanSquare / (0.125 * 0.125 / 3) - 1) <= 6 * 5e-3)
        #expect(layer.bias?.master.scalars(as: Double.self).allSatisfy { abs($0) <= 0.125 } == true)
        #expect(layer.weight.storageType == .float32)
    }

    @Test func theSeedDecidesEveryBit() {
        func bytes(_ seed: UInt64) -> [[UInt8]] {
            var generator = SeededGenerator(seed: seed)
            return [Linear(5, 4, using: &generator), Linear(5, 4, using: &generator)].flatMap {
                $0.parameters().map(\.master.bytes)
            }
        }
        #expect(bytes(1) == bytes(1))
        #expect(bytes(1) != bytes(2))
        #expect(Set(bytes(1)).count == 4)
    }

    @Test func constantsAndEmptyLayersDrawNothing() {
        var generator = SeededGenerator(seed: 3)
        let parameter = Initializer.constant(0.5).parameter([2, 2], using: &generator)
        #expect(parameter.master.scalars(as: Float.self) == [0.5, 0.5, 0.5, 0.5])
        let layer = Linear(0, 3, using: &generator)
        #expect(layer.bias?.master.scalars(as: Float.self) == [0, 0, 0])
        #expect(generator == SeededGenerator(seed: 3))
    }

    @Test func normalHasItsDeviation() {
        var generator = SeededGenerator(seed: 5)
        let values = Initializer.normal(deviation: 0.02).parameter([20_000], using: &generator).master.scalars(
            as: Double.self)
        // The mean square of n normal draws has a relative deviation of sqrt(2 / n) = 0.01; six deviations.
        #expect(abs(values.reduce(0) { $0 + $1 * $1 } / 20_000 / 4e-4 - 1) <= 0.06)
    }
}

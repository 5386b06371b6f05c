// Whole tensors of random numbers are the generator's draws one by one.
import NeedletailTensor
import Testing

@Suite struct RandomTensorTests {
    private func forEachRow(_ body: (String) -> Void) {
        defer { _ = KernelInfo.setThreadRow(nil) }
        for row in KernelInfo.rows where KernelInfo.setThreadRow(row.name) { body(row.name) }
    }

    /// Every row, type, thread count and first word gives the bits of the formulas in float64, rounded once; where float32 or
    /// 16 bits could hide a vector's last bits they are computed again.
    @Test(arguments: floatingTypes, [UInt64(0), 1, 977, UInt64.max - 300]) func drawsAreThoseOfTheGenerator(
        _ dtype: DType, _ position: UInt64
    ) {
        let start = SeededGenerator(seed: 0x1234_5678_9ABC, stream: 0x1_0000_0005, position: position)
        for count in [0, 1, 7, 255, 256, 257, 70_001] {
            var generator = start
            let low = -0.3, high = 1.4, width = high - low
            let uniform = (0..<count).map { _ in low + width * generator.nextUniform() }
            let afterUniform = generator
            let normal = (0..<count).map { _ in 0.02 + 3 * generator.nextNormal() }
            let expected = [Tensor(uniform), Tensor(normal)].map { $0.cast(to: dtype).bytes }
            forEachRow { row in
                for threads in [1, 4] {
                    withThreads(threads) {
                        var many = start
                        let label = "\(row) \(dtype), \(count) from \(position), \(threads) threads"
                        let flat = Tensor.uniform([count], in: low..<high, dtype: dtype, using: &many)
                        #expect(flat.bytes == expected[0] && many == afterUniform, "uniform, \(label)")
                        let bell = Tensor.normal([count], mean: 0.02, deviation: 3, dtype: dtype, using: &many)
                        #expect(bell.bytes == expected[1] && many == generator, "normal, \(label)")
                    }
                }
            }
        }
    }

    /// Many more numbers, so that some fall where the vectors' last bits decide the rounding.
    @Test func millionsOfNormalNumbersAreTheSameOnEveryRow() {
        for dtype in [DType.float32, .bfloat16, .float16] {
            func draw() -> [UInt8] {
                var generator = SeededGenerator(seed: 77)
                return Tensor.normal([4_000_000], dtype: dtype, using: &generator).bytes
            }
            _ = KernelInfo.setThreadRow("ref")
            let expected = draw()
            forEachRow { #expect(draw() == expected, "\($0) \(dtype)") }
        }
    }

    /// The stream of a seed is part of what a checkpoint means: these bits were drawn before numbers were made many at once.
    @Test func theStreamOfASeedStays() {
        var generator = SeededGenerator(seed: 5)
        let normal = Tensor.normal([3], using: &generator).scalars(as: Float.self).map(\.bitPattern)
        let uniform = Tensor.uniform([3], in: -1..<1, using: &generator).scalars(as: Float.self).map(\.bitPattern)
        #expect(normal == [0x3EBE_23BA, 0x3EDA_33D5, 0x3EF3_EAF7])
        #expect(uniform == [0x3EC5_D6C6, 0x3F63_B473, 0xBF41_7414])
        #expect(generator.position == 9)
    }
}

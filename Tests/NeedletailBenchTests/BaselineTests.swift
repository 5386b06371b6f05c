// Baselines compute what they are compared with.
import NeedletailBench
import NeedletailTensor
import Testing

@Suite struct BaselineTests {
    @Test(arguments: MatrixLayout.allCases)
    func openBLASComputesTheSameProduct(layout: MatrixLayout) {
        var generator = SeededGenerator(seed: 3)
        let (m, n, k) = (5, 7, 11)
        // Integers of at most 4: every sum is below 2^24, so both products are exact.
        func operand(_ rows: Int, _ columns: Int, transposed: Bool) -> Tensor {
            let values = (0..<rows * columns).map { _ in Float(generator.nextInteger(below: 9) - 4) }
            return transposed
                ? Tensor(values, shape: [columns, rows]).transposed() : Tensor(values, shape: [rows, columns])
        }
        let a = operand(m, k, transposed: layout == .tn || layout == .tt)
        let b = operand(k, n, transposed: layout == .nt || layout == .tt)
        let ours = Tensor.zeros([m, n]), theirs = Tensor.zeros([m, n])
        BenchmarkKernels.gemm(a, b, into: ours)()
        BenchmarkKernels.withOpenBLASThreads(1) { BenchmarkKernels.openBLASGemm(a, b, into: theirs)() }
        #expect(ours.scalars(as: Float.self) == theirs.scalars(as: Float.self))
        #expect(ours.scalars(as: Float.self).contains { $0 != 0 })
    }

    @Test func twoPassesGiveTheFusedLossAndGradient() {
        var generator = SeededGenerator(seed: 5)
        let (rows, columns) = (6, 9)
        let logits = Tensor.normal([rows, columns], dtype: .float64, using: &generator)
        let targets = Tensor((0..<rows).map { Int64($0 % columns) })
        let fused = BenchmarkKernels.nll(logits, targets)
        let plain = BenchmarkKernels.twoPassNLL(logits, targets)
        // Float64: a sum of 9 exponentials and a handful of operations, each within 2 ulps; values are of order 1.
        let tolerance = 32 * 0x1p-52 * Double(columns)
        #expect(abs(fused.loss - plain.loss) <= tolerance)
        let gradients = (fused.gradient.scalars(as: Double.self), plain.gradient.scalars(as: Double.self))
        for index in gradients.0.indices {
            #expect(abs(gradients.0[index] - gradients.1[index]) <= tolerance, "element \(index)")
        }
    }

    @Test func copyAndScale() {
        let x = Tensor([1, 2, 3] as [Float]), y = Tensor.zeros([3])
        BenchmarkKernels.copy(x, into: y, byteCount: 8)
        #expect(y.scalars(as: Float.self) == [1, 2, 0])
        BenchmarkKernels.scale(y, by: 3)
        #expect(y.scalars(as: Float.self) == [3, 6, 0])
        #expect(BenchmarkKernels.sample(y) == 9)
    }

    @Test(arguments: MemoryPattern.allCases)
    func bandwidthIsPositive(pattern: MemoryPattern) {
        let block = Tensor.arange(1024, dtype: .float32)
        #expect(BenchmarkKernels.bandwidth(pattern, of: block, seconds: 1e-4) > 0)
        let values = block.scalars(as: Float.self)
        #expect(Array(values[..<512]) == (0..<512).map { Float($0) })
        #expect(Array(values[512...]) == (pattern == .read ? 512..<1024 : 0..<512).map { Float($0) })
    }
}

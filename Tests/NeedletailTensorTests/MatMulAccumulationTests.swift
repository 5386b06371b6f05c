import NeedletailTensor
import Testing

/// The choice of float16 sums: it does what it says or throws. (The sums themselves are tested in CSIMDTests.)
@Suite struct MatMulAccumulationTests {
    private func onReferenceRow(_ body: () throws -> Void) rethrows {
        #expect(KernelInfo.setThreadRow("ref"))
        defer { #expect(KernelInfo.setThreadRow(nil)) }
        try body()
    }

    /// 4,096 and ten times 1: float16 keeps 4,096 only, since 4,097 is half-way to 4,100; float32 has 4,106.
    @Test func chunksLoseWhatFloat16Loses() throws {
        let a = Tensor.ones([20, 11], dtype: .float16)
        let b = Tensor([Float16](repeating: 4096, count: 3) + [Float16](repeating: 1, count: 30), shape: [11, 3])
        try onReferenceRow {
            #expect(a.matmul(b)[0][0].item() == 4104)  // 4,106 to nearest even in float16
            try withMatMulAccumulation(.chunked(32)) {
                #expect(matMulAccumulation == .chunked(32))
                #expect(a.matmul(b)[0][0].item() == 4096)
            }
        }
        #expect(matMulAccumulation == .float32)
    }

    @Test func whatCannotBeHadThrows() throws {
        for products in [0, 1, 16, 64] {
            #expect(throws: MatMulAccumulationError.self) { try withMatMulAccumulation(.chunked(products)) {} }
        }
        guard KernelInfo.setThreadRow("avx2") else { return }
        defer { #expect(KernelInfo.setThreadRow(nil)) }
        let error = #expect(throws: MatMulAccumulationError.self) { try withMatMulAccumulation(.chunked(32)) {} }
        for part in ["chunked:32", "AVX512_FP16", "avx2", "float32", "CSIMD_ISA=ref"] {
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "") should say \(part)")
        }
        #expect(matMulAccumulation == .float32)
    }

    @Test func readsWhatItWrites() throws {
        for kind in [MatMulAccumulation.float32, .chunked(32), .chunked(16)] {
            #expect(try MatMulAccumulation(parsing: kind.description) == kind)
        }
        for text in ["", "chunked", "chunked:", "chunked:x", "float16", "chunked:32:1"] {
            #expect(throws: MatMulAccumulationError.self) { try MatMulAccumulation(parsing: text) }
        }
    }
}

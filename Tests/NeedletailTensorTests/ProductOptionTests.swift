// Options of products belong to a closure and a thread, and backward uses what its forward used.
import NeedletailTensor
import Testing

@Suite struct ProductOptionTests {
    private let x = exactValues([64, 96], seed: 1) / 3, w = exactValues([48, 96], seed: 2) / 7

    /// A loss, and its weight, whose gradient is float32.
    private func loss(_ dtype: DType) -> (Parameter, Tensor) {
        let weight = Parameter(w.cast(to: .float32))
        weight.setTypes(storage: .float32, compute: dtype)
        return (weight, linear(x.cast(to: dtype), weight: weight.value).tanh().sum())
    }

    private func gradient(_ loss: (weight: Parameter, loss: Tensor)) -> [UInt8] {
        loss.loss.backward()
        return loss.weight.gradient?.bytes ?? []
    }

    /// Forward within `scope` and backward behind it, or both within, or both without.
    private func check(_ dtype: DType, _ what: String, _ scope: (() -> Void) throws -> Void) throws {
        func result(within: Bool, backwardToo: Bool) throws -> [UInt8] {
            var recorded: (Parameter, Tensor)?
            var bytes: [UInt8] = []
            func finish() { bytes = recorded.map(gradient) ?? [] }
            func forward() {
                recorded = loss(dtype)
                if backwardToo { finish() }
            }
            if within { try scope(forward) } else { forward() }
            if !backwardToo { finish() }
            return bytes
        }
        let inside = try result(within: true, backwardToo: true)
        #expect(try result(within: true, backwardToo: false) == inside, "\(what)")
        let outside = try result(within: false, backwardToo: true)
        #expect(outside != inside, "\(what): the options make no difference, so this test shows nothing")
        // A graph that was recorded without them keeps to that within their scope.
        let recorded = loss(dtype)
        var bytes: [UInt8] = []
        try scope { bytes = gradient(recorded) }
        #expect(bytes == outside, "\(what)")
    }

    @Test func backwardSumsFloat16AsForwardDid() throws {
        #expect(KernelInfo.setThreadRow("ref"))
        defer { #expect(KernelInfo.setThreadRow(nil)) }
        try check(.float16, "chunks") { body in try withMatMulAccumulation(.chunked(32), body) }
        #expect(matMulAccumulation == .float32)
    }

    @Test func backwardMultipliesBFloat16AsForwardDid() throws {
        let other: BFloat16MatMul = bfloat16MatMul == .widen ? .native : .widen
        guard (try? withBFloat16MatMul(other, {})) != nil else { return }
        let standard = bfloat16MatMul
        try check(.bfloat16, "\(other)") { body in try withBFloat16MatMul(other, body) }
        #expect(bfloat16MatMul == standard)
    }

    @Test func aChoiceEndsWithItsClosureAlsoByAnError() throws {
        struct Stop: Error {}
        #expect(KernelInfo.setThreadRow("ref"))
        defer { #expect(KernelInfo.setThreadRow(nil)) }
        #expect(throws: Stop.self) {
            try withMatMulAccumulation(.chunked(32)) {
                #expect(matMulAccumulation == .chunked(32))
                try withMatMulAccumulation(.float32) { #expect(matMulAccumulation == .float32) }
                #expect(matMulAccumulation == .chunked(32))
                throw Stop()
            }
        }
        #expect(matMulAccumulation == .float32)
    }

    /// Two threads with different choices at the same time.
    @Test func threadsDoNotSeeEachOthersChoice() async {
        let seen = await withTaskGroup(of: [MatMulAccumulation].self) { group in
            for kind in [MatMulAccumulation.float32, .chunked(32)] {
                group.addTask {
                    _ = KernelInfo.setThreadRow("ref")
                    defer { _ = KernelInfo.setThreadRow(nil) }
                    var seen: [MatMulAccumulation] = []
                    try? withMatMulAccumulation(kind) {
                        for _ in 0..<2000 where matMulAccumulation != kind { seen.append(matMulAccumulation) }
                    }
                    return seen
                }
            }
            return await group.reduce([]) { $0 + $1 }
        }
        #expect(seen == [])
    }
}

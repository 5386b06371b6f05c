import NeedletailTensor
import Testing

@Suite struct StorageTests {
    /// A block of a size that no other test uses is taken from the system once, then reused.
    @Test func blocksAreKeptAndReused() {
        let count = 77_777_777
        func use() { _ = Tensor.zeros([count], dtype: .uint8) }
        use()
        let before = StoragePool.usage
        for _ in 0..<10 { use() }
        let after = StoragePool.usage
        #expect(after.system == before.system)
        #expect(after.free == before.free)
    }

    @Test(arguments: [1, 64, 65, 127, 129, 4097, 1 << 20, (1 << 20) + 1, 3_000_001])
    func aBlockWastesAtMostAFifth(_ bytes: Int) {
        let before = StoragePool.usage
        let tensor = Tensor.zeros([bytes], dtype: .uint8)
        let used = (StoragePool.usage.system - StoragePool.usage.free) - (before.system - before.free)
        #expect(used >= bytes)
        // Classes are a quarter of an octave apart, so a block is at most 5/4 of what is needed, and never under 64 bytes.
        let isSmall = used <= max(64, bytes + bytes / 4 + 64)
        #expect(isSmall, "\(bytes) bytes took \(used)")
        #expect(tensor.byteCount == bytes)
    }
}

import Foundation
import NeedletailBench
import Testing

@Suite struct MachineTests {
    @Test func cachesFromSysfs() throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("needletail-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        func cache(_ index: Int, _ level: String, _ type: String, _ size: String) throws {
            let folder = root.appendingPathComponent("index\(index)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            for (name, text) in [("level", level), ("type", type), ("size", size)] {
                try Data((text + "\n").utf8).write(to: folder.appendingPathComponent(name))
            }
        }
        try cache(0, "1", "Data", "48K")
        try cache(1, "1", "Instruction", "32K")
        try cache(2, "2", "Unified", "2048K")
        #expect(MemoryHierarchy.ofThisMachine(root: root.path) == MemoryHierarchy(l2: 2 << 20, l3: 2 << 20))
        try cache(3, "3", "Unified", "260M")
        #expect(MemoryHierarchy.ofThisMachine(root: root.path) == MemoryHierarchy(l2: 2 << 20, l3: 260 << 20))
        #expect(MemoryHierarchy.ofThisMachine(root: "/nowhere") == MemoryHierarchy(l2: 1 << 20, l3: 32 << 20))
    }

    @Test func levels() {
        let memory = MemoryHierarchy(l2: 100, l3: 1000)
        #expect(memory.level(of: 100, threads: 1) == .l2)
        #expect(memory.level(of: 101, threads: 1) == .l3)
        #expect(memory.level(of: 200, threads: 2) == .l2)
        #expect(memory.level(of: 1000, threads: 1) == .l3)
        #expect(memory.level(of: 1001, threads: 1) == .memory)
    }

    @Test func openBLASCoreIsPutRightWhereVectorsLieIdle() {
        let avx512 = "avx2 fma f16c avx512f+bw+cd+dq+vl avx512_bf16"
        #expect(OpenBLASChoice.correction(core: "Prescott", features: avx512) == "SkylakeX")
        #expect(OpenBLASChoice.correction(core: "Haswell", features: avx512) == "SkylakeX")
        #expect(OpenBLASChoice.correction(core: "Zen", features: avx512) == "SkylakeX")
        #expect(OpenBLASChoice.correction(core: "SkylakeX", features: avx512) == nil)
        #expect(OpenBLASChoice.correction(core: "Cooperlake", features: avx512) == nil)
        #expect(OpenBLASChoice.correction(core: "Nehalem", features: "avx2 fma f16c") == "Haswell")
        #expect(OpenBLASChoice.correction(core: "Zen", features: "avx2 fma f16c") == nil)
        #expect(OpenBLASChoice.correction(core: "Prescott", features: "") == nil)
    }
}

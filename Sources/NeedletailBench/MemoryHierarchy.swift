// Which caches the machine has, as Linux tells it.
import Foundation
import NeedletailFiles

/// Where a working set lies.
package enum MemoryLevel: String, CaseIterable, Codable, Sendable {
    /// In a core's own caches.
    case l2 = "L2"
    /// In the cache that cores share.
    case l3 = "L3"
    /// In main memory.
    case memory
}

/// Sizes of the caches.
package struct MemoryHierarchy: Equatable, Sendable {
    /// Bytes of one core's second-level cache.
    package var l2: Int
    /// Bytes of the last shared cache; equal to `l2` where there is none.
    package var l3: Int

    package init(l2: Int, l3: Int) {
        self.l2 = l2
        self.l3 = l3
    }

    /// What /sys says of CPU 0; where it says nothing, 1 MiB and 32 MiB.
    package static func ofThisMachine(root: String = "/sys/devices/system/cpu/cpu0/cache") -> MemoryHierarchy {
        var sizes: [Int: Int] = [:]
        for index in 0..<8 {
            func read(_ name: String) -> String? {
                RegularFile.text(of: FilePath("\(root)/index\(index)/\(name)"))?
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            }
            guard let level = read("level").flatMap({ Int($0) }), read("type") != "Instruction",
                let size = read("size").flatMap(bytes)
            else { continue }
            sizes[level] = size
        }
        let l2 = sizes[2] ?? sizes[1] ?? 1 << 20
        return MemoryHierarchy(l2: l2, l3: max(l2, sizes[4] ?? sizes[3] ?? (sizes.isEmpty ? 32 << 20 : l2)))
    }

    /// The bytes that a size such as `1024K` or `32M` stands for.
    static func bytes(_ text: String) -> Int? {
        let factors: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
        guard let last = text.last, let factor = factors[last] else { return Int(text) }
        return Int(text.dropLast()).map { $0 * factor }
    }

    /// Where `byteCount` bytes lie that `threads` cores work on, a part each.
    package func level(of byteCount: Int, threads: Int) -> MemoryLevel {
        byteCount <= l2 * threads ? .l2 : byteCount <= l3 ? .l3 : .memory
    }
}

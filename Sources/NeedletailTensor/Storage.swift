// Tensor memory: 64-byte aligned blocks from one pool that keeps and reuses them, because the first touch of fresh pages
// costs more than most kernels do with the data.
import NeedletailFiles
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// One block of memory, given back to the pool when the last tensor that uses it goes.
///
/// `@unchecked Sendable`: the block's address and size never change. Its bytes are written by the operation that creates it,
/// before any other thread can hold a reference, and afterwards only by the owner of a ``Tensor`` that it keeps to write to
/// (a `Parameter`, an optimizer's state, a cache), which first sees to it that no tensor which was handed out shares them
/// (``Tensor/makeUnshared(keepingValues:)``).
final class Storage: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    let byteCount: Int
    private let sizeClass: Int
    /// Whether a tensor was handed out that shares the block with an owner who writes to it.
    let isHandedOut = Atomic<Bool>(false)
    /// Whose values these are, where they are a parameter's. Set before another thread can hold a reference.
    var version: ParameterVersion?

    init(byteCount: Int) {
        self.byteCount = byteCount
        sizeClass = StoragePool.sizeClass(of: byteCount)
        pointer = StoragePool.take(sizeClass)
    }

    deinit { StoragePool.give(pointer, sizeClass) }
}

/// Free blocks by size class: four classes an octave, so that at most a fifth of a block is unused.
package enum StoragePool {
    private struct FreeLists {
        var blocks: [[UInt]] = Array(repeating: [], count: 256)
        var keptBytes = 0
        var systemBytes = 0
    }

    private static let lists = Mutex(FreeLists())
    private static let smallest = 64
    private static let hugePage = 2 << 20
    /// Free memory kept for reuse, a quarter of what the process may have; beyond it blocks go back to the system.
    private static let keptLimit = ProcessMemory.limit / 4

    /// What every byte of a returned block is overwritten with: `MALLOC_PERTURB_` (mallopt(3)) holds for the pool as for `malloc`.
    /// Whoever still reads such a block then goes wrong every time, not only when another thread has taken it.
    private static let freedByte =
        ProcessSurroundings.variable("MALLOC_PERTURB_").map { UInt8(truncatingIfNeeded: atoi($0)) } ?? 0

    static func sizeClass(of byteCount: Int) -> Int {
        if byteCount <= smallest { return 0 }
        let units = (byteCount + smallest - 1) / smallest
        let octave = Int.bitWidth - 1 - (units - 1).leadingZeroBitCount
        if octave < 2 { return units - 1 }
        let quarter = (units - 1) >> (octave - 2)  // 4 ... 7
        return 4 * (octave - 1) + (quarter - 4)
    }

    static func capacity(of sizeClass: Int) -> Int {
        if sizeClass < 4 { return (sizeClass + 1) * smallest }
        let octave = sizeClass / 4 + 1
        return ((sizeClass % 4 + 5) << (octave - 2)) * smallest
    }

    static func take(_ sizeClass: Int) -> UnsafeMutableRawPointer {
        let bytes = capacity(of: sizeClass)
        let kept = lists.withLock { lists -> UInt? in
            guard let block = lists.blocks[sizeClass].popLast() else {
                lists.systemBytes += bytes
                return nil
            }
            lists.keptBytes -= bytes
            return block
        }
        if let kept, let pointer = UnsafeMutableRawPointer(bitPattern: kept) { return pointer }
        guard let pointer = allocate(bytes) ?? (releaseFree() ? allocate(bytes) : nil) else {
            let usage = lists.withLock { lists in
                lists.systemBytes -= bytes
                return (system: lists.systemBytes, free: lists.keptBytes)
            }
            stopOutOfMemory(
                "out of memory: a tensor's block of \(bytes) bytes could not be had; tensors hold \(usage.system - usage.free) "
                    + "bytes, and the process may have \(ProcessMemory.limit); use a smaller batch or model, or raise the limit"
            )
        }
        #if os(Linux)
            let adviseHugePages: Int32 = 14  // MADV_HUGEPAGE, a macro that Swift does not import
            if bytes >= hugePage { madvise(pointer, bytes, adviseHugePages) }
        #endif
        return pointer
    }

    private static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        var pointer: UnsafeMutableRawPointer?
        let status = posix_memalign(&pointer, byteCount >= hugePage ? hugePage : smallest, byteCount)
        return status == 0 ? pointer : nil
    }

    /// Gives all free blocks back to the system; false where there are none.
    @discardableResult package static func releaseFree() -> Bool {
        let blocks = lists.withLock { lists in
            let blocks = lists.blocks
            lists.blocks = Array(repeating: [], count: blocks.count)
            lists.systemBytes -= lists.keptBytes
            lists.keptBytes = 0
            return blocks
        }
        for block in blocks.joined() { free(UnsafeMutableRawPointer(bitPattern: block)) }
        return blocks.contains { !$0.isEmpty }
    }

    static func give(_ pointer: UnsafeMutableRawPointer, _ sizeClass: Int) {
        let bytes = capacity(of: sizeClass)
        if freedByte != 0 { memset(pointer, Int32(freedByte), bytes) }
        let keep = lists.withLock { lists -> Bool in
            if lists.keptBytes + bytes > keptLimit {
                lists.systemBytes -= bytes
                return false
            }
            lists.blocks[sizeClass].append(UInt(bitPattern: pointer))
            lists.keptBytes += bytes
            return true
        }
        if !keep { free(pointer) }
    }

    /// Bytes taken from the system by all tensors, and the part of them that is free for reuse.
    package static var usage: (system: Int, free: Int) {
        lists.withLock { ($0.systemBytes, $0.keptBytes) }
    }
}

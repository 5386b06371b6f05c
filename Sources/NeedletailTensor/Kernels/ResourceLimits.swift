// What the surroundings of the process allow it: CPUs and memory of control groups, and the process's own limits.
internal import CSIMD

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What the control groups of this process (containers, services) allow it; nil for what is not limited.
package struct ResourceLimits: Equatable {
    /// CPU time a second, in CPUs.
    package let cpus: Double?
    /// Bytes of memory: the least limit of the group and its ancestors.
    package let memory: Int?
    /// Bytes in use in the group with that limit.
    package let memoryUsed: Int?
    /// Bytes up to the nearest limit; file cache that can be dropped counts as free.
    package let memoryFree: Int?

    /// Reads them below `root`, where a test may have put a tree of its own.
    package init(root: String = "") {
        let limits = csimd_read_limits(root)
        cpus = limits.cpus.isFinite ? limits.cpus : nil
        memory = limits.memory < UInt64.max ? Int(clamping: limits.memory) : nil
        memoryUsed = limits.memory < UInt64.max ? Int(clamping: limits.memory_used) : nil
        memoryFree = limits.memory_free < UInt64.max ? Int(clamping: limits.memory_free) : nil
    }
}

/// The memory of this process, in bytes.
package enum ProcessMemory {
    /// What the machine has.
    package static var total: Int { Int(clamping: csimd_measure_memory().total) }
    /// The least of what the machine has, what control groups allow, and the process's own limits (`ulimit -v`, `ulimit -d`).
    package static var limit: Int { Int(clamping: csimd_measure_memory().limit) }
    /// What can still be taken within all of these, without swapping.
    package static var available: Int { Int(clamping: csimd_measure_memory().available) }
    /// What is in use.
    package static var resident: Int { Int(clamping: csimd_measure_memory().resident) }

    /// Whether the system gives a block of so many bytes now. It is given back at once, and never touched.
    package static func canTake(_ byteCount: Int) -> Bool {
        guard byteCount > 0 else { return true }
        guard let block = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            block != MAP_FAILED
        else { return false }
        munmap(block, byteCount)
        return true
    }
}

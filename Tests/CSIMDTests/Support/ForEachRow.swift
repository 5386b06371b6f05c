import CSIMD
import Testing

/// Runs `body` once with each kernel row that this machine supports chosen for the calling thread, "ref" included.
/// The argument is the row's name, for messages. The default row is restored afterwards.
func forEachRow(_ body: (_ row: String) throws -> Void) rethrows {
    defer { csimd_set_thread_row(-1) }
    for row in 0..<csimd_row_count() where csimd_row_supported(row) {
        csimd_set_thread_row(row)
        try body(String(cString: csimd_row_name(row)))
    }
}

/// Runs `body` with `count` OpenMP threads, then goes back to the default.
func withThreads<R>(_ count: Int32, _ body: () throws -> R) rethrows -> R {
    csimd_set_thread_count(count)
    defer { csimd_set_thread_count(0) }
    return try body()
}

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

/// As ``forEachRow(_:)``, and rows that have a native bf16 kernel once with each way of multiplying bf16 matrices.
func forEachGemm(_ body: (_ kernel: String) throws -> Void) rethrows {
    defer { csimd_set_thread_bf16_gemm(-1) }
    try forEachRow { row in
        csimd_set_thread_bf16_gemm(Int32(CSIMD_WIDEN.rawValue))
        try body(row)
        if csimd_row_has_native_bf16(csimd_active_row()) {
            csimd_set_thread_bf16_gemm(Int32(CSIMD_NATIVE.rawValue))
            try body("\(row) native bf16")
        }
    }
}

/// Runs `body` with `count` OpenMP threads, then goes back to the default.
func withThreads<R>(_ count: Int32, _ body: () throws -> R) rethrows -> R {
    csimd_set_thread_count(count)
    defer { csimd_set_thread_count(0) }
    return try body()
}

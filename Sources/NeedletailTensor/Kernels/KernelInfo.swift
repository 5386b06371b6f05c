// What the machine has and which kernels run: for the doctor, for tests and for checkpoints.
import NeedletailFiles
internal import COpenBLAS
internal import CSIMD

/// Sets the number of threads that kernels use, at most 256; 0 means `OMP_NUM_THREADS` where that is set, else one a CPU, within
/// the CPU quota of a container. Results do not depend on it.
public func setThreadCount(_ count: Int) { csimd_set_thread_count(Int32(clamping: count)) }

/// The number of threads that kernels use.
public var threadCount: Int { Int(csimd_thread_count()) }

/// Facts about the CPU, the kernels and the libraries.
package enum KernelInfo {
    /// The rows of the dispatch table, best first, and whether this machine can run them.
    package static var rows: [(name: String, supported: Bool)] {
        (0..<csimd_row_count()).map { (rowName($0), csimd_row_supported($0)) }
    }

    /// The name of the row that the calling thread uses.
    package static var activeRow: String { rowName(csimd_active_row()) }

    /// Chooses a row by name for the calling thread; nil goes back to the default. False where it cannot run here.
    package static func setThreadRow(_ name: String?) -> Bool {
        guard let name else { return csimd_set_thread_row(-1) == CSIMD_OK }
        guard let index = rows.firstIndex(where: { $0.name == name }) else { return false }
        return csimd_set_thread_row(index) == CSIMD_OK
    }

    /// The row that the calling thread takes each family's kernels from, and why that one.
    package static var families: [(name: String, row: String, reason: String)] {
        let active = csimd_active_row()
        let isBest = !(0..<active).contains { csimd_row_supported($0) }
        return (0..<csimd_family_count()).flatMap { family in
            let row = csimd_family_row(family)
            let reason =
                row != active
                ? "\(rowName(active)) has no kernels of its own for it"
                : isBest
                    ? "the best row that this CPU supports"
                    : "better rows are supported, but CSIMD_ISA or the thread's choice lowered it"
            let name = text(csimd_family_name(family))
            let bf16 = name == "gemm" ? [("gemm bf16", bfloat16Row, bfloat16Reason)] : []
            return [(name, rowName(row), reason)] + bf16
        }
    }

    /// What the variables that choose kernels say that cannot be, one sentence each.
    package static var variableProblems: [String] {
        var problems: [String] = []
        if let name = chosenByVariable("CSIMD_ISA") {
            let rows = rows, row = rows.first { $0.name == name }
            if row == nil {
                problems.append(
                    "CSIMD_ISA is '\(name)', expected one of \(rows.map(\.name).joined(separator: ", ")); it changes nothing"
                )
            } else if row?.supported == false {
                problems.append(
                    "CSIMD_ISA is '\(name)', which this CPU cannot run; the kernels in use are \(activeRow)")
            }
        }
        let choices = ["widen", "native", "amx"]
        if let name = chosenByVariable("CSIMD_BF16_GEMM"), !choices.contains(name) {
            problems.append(
                "CSIMD_BF16_GEMM is '\(name)', expected one of \(choices.joined(separator: ", ")); it changes nothing")
        }
        return problems
    }

    /// The value of a variable; nil where it is not set, or empty.
    package static func chosenByVariable(_ name: String) -> String? {
        ProcessSurroundings.variable(name).flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Kernels that need instructions beyond their row's, whether this CPU has them, and whether the tests have run on one.
    package static var specialKernels: [(name: String, instruction: String, supported: Bool, tested: Bool)] {
        (0..<csimd_special_kernel_count()).map { index in
            let kernel = csimd_special_kernel_at(index)
            return (text(kernel.name), text(kernel.instruction), kernel.supported, kernel.tested)
        }
    }

    /// FLOP/s of the widening and of the native bf16 micro-kernel of the best row, measured now; nil where there is one only.
    package static func measureBFloat16Kernels() -> (widen: Double, native: Double)? {
        var widen = 0.0, native = 0.0
        return csimd_measure_bf16_gemm(&widen, &native) ? (widen, native) : nil
    }

    private static var bfloat16Row: String { "\(activeRow) \(bfloat16MatMul)" }

    private static var bfloat16Reason: String {
        switch csimd_bf16_gemm_reason() {
        case CSIMD_BF16_BY_MEASUREMENT:
            "measured: native is taken from \(CSIMD_BF16_MARGIN) times the widening kernel's rate"
        case CSIMD_BF16_BY_ENVIRONMENT: "CSIMD_BF16_GEMM in the environment asks for it"
        case CSIMD_BF16_BY_THREAD: "the program, or the checkpoint resumed, asks for it"
        default: "this row or this CPU has no bf16 multiplication of its own"
        }
    }

    /// The CPU's own name.
    package static var cpuModel: String { text(csimd_cpu_model()) }

    /// The instruction sets that matter here and that the operating system enables.
    package static var cpuFeatures: String { text(csimd_cpu_features()) }

    /// The OpenMP runtime.
    package static var openMPVersion: String { text(csimd_openmp_version()) }

    /// Why kernels work on one thread, without OpenMP; nil where they use it.
    package static var openMPProblem: String? { csimd_openmp_problem().map { String(cString: $0) } }

    /// What was wrong with OpenMP's surroundings before its first use, and what was done; nil where nothing was.
    package static var openMPWarning: String? { csimd_openmp_warning().map { String(cString: $0) } }

    /// OpenBLAS's version and build options, and the kernels it chose.
    package static var openBLASConfiguration: String {
        "\(text(openblas_get_config())), kernels for \(text(openblas_get_corename()))"
    }

    /// Multiply-add rate of the calling thread in float32, FLOP/s.
    package static func measurePeak(seconds: Double) -> Double { csimd_measure_fma_peak(seconds) }

    private static func rowName(_ row: Int) -> String { text(csimd_row_name(row)) }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        pointer.map { String(cString: $0) } ?? ""
    }
}

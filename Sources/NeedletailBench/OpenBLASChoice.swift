// Which kernels the baseline runs. OpenBLAS chooses them by CPU model when it is loaded; a build that is older than the CPU
// takes those of an old one, which would flatter everything that is compared with it.
import Foundation
import NeedletailFiles
import NeedletailTensor

/// OpenBLAS's choice, and what is put right about it.
package enum OpenBLASChoice {
    /// The variable that OpenBLAS reads while it is loaded.
    static let variable = "OPENBLAS_CORETYPE"
    /// Where the process that starts anew keeps what was wrong.
    static let remembered = "NEEDLETAIL_OPENBLAS_CHOSE"

    /// Whether this process is the one that `correctByStartingAgain` has started.
    package static var hasStartedAgain: Bool { ProcessSurroundings.variable(remembered) != nil }

    /// The core type to set where `core`, OpenBLAS's own choice, leaves vectors unused that the CPU has; nil where it is right.
    package static func correction(core: String, features: String) -> String? {
        let words = Set(features.split(separator: " ").map(String.init))
        let hasAVX512 = words.contains { $0.hasPrefix("avx512f") }
        if hasAVX512 {
            return ["skylakex", "cooperlake", "sapphirerapids"].contains(core.lowercased()) ? nil : "SkylakeX"
        }
        guard words.contains("avx2"), words.contains("fma") else { return nil }
        return ["haswell", "zen"].contains(core.lowercased()) ? nil : "Haswell"
    }

    /// Starts this command again with the right core type where OpenBLAS runs kernels of a lesser CPU, be it by its own choice
    /// or because the environment says so: a baseline is worth something only at its best. Returns where nothing is wrong, and
    /// where it stayed wrong.
    package static func correctByStartingAgain() {
        let core = BenchmarkKernels.openBLASCore
        guard let right = correction(core: core, features: KernelInfo.cpuFeatures) else { return }
        let before = ProcessSurroundings.variable(remembered)
        if let asked = ProcessSurroundings.variable(variable) {
            if before != nil { return }
            unsetenv(variable)  // first its own choice
            setenv(remembered, "\(variable)=\(asked) was set", 1)
        } else {
            setenv(variable, right, 1)
            setenv(remembered, [before, "it had chosen \(core)"].compactMap { $0 }.joined(separator: ", "), 1)
        }
        execv("/proc/self/exe", CommandLine.unsafeArgv)
    }

    /// The core type in use and how it came about.
    package static var description: String {
        let core = BenchmarkKernels.openBLASCore
        if let before = ProcessSurroundings.variable(remembered) { return "\(core) kernels (\(before); put right)" }
        if let asked = ProcessSurroundings.variable(variable) { return "\(core) kernels (\(variable)=\(asked))" }
        return "\(core) kernels (its own choice)"
    }
}

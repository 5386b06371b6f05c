// `needletail doctor`.
import ArgumentParser
import CStart
import Dispatch
import Foundation
import Needletail
import NeedletailFiles
import Synchronization

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Print what this machine has, which kernels run on it and why, and its measured peak.",
        discussion: """
            CSIMD_ISA=avx2 or CSIMD_ISA=ref in the environment lowers the choice of kernels; CSIMD_BF16_GEMM=widen, native \
            or amx says how bf16 matrices are multiplied, in place of the measurement.
            """)

    @OptionGroup var threads: ThreadOptions

    func run() throws {
        threads.apply()
        try line("CPU", KernelInfo.cpuModel)
        try line("features", KernelInfo.cpuFeatures)
        let limits = ResourceLimits()
        try line("CPUs", "\(allowedCPUs) may be used; \(quota(limits))")
        try line("threads", "\(threadCount)")
        try line("memory", memory(limits))
        try line("OpenMP", KernelInfo.openMPProblem.map { "not used: \($0)" } ?? KernelInfo.openMPVersion)
        try line("OpenBLAS", KernelInfo.openBLASConfiguration)
        try line("huge pages", hugePages)
        for row in KernelInfo.rows {
            let use = row.name == KernelInfo.activeRow ? "in use" : row.supported ? "can run" : "cannot run here"
            try line("kernels \(row.name)", use)
        }
        for (name, effect) in [("CSIMD_ISA", "caps the choice"), ("CSIMD_BF16_GEMM", "is asked for")] {
            guard let value = KernelInfo.chosenByVariable(name) else { continue }
            let isOdd = KernelInfo.variableProblems.contains { $0.hasPrefix(name) }
            try line(name, isOdd ? "\(value) is not known here" : "\(value) \(effect)")
        }
        try StandardOutput.line("\nkernel of each family")
        for family in KernelInfo.families { try line("  \(family.name)", "\(family.row): \(family.reason)") }
        try StandardOutput.line("\nkernels with instructions of their own")
        for kernel in KernelInfo.specialKernels {
            let use = kernel.supported ? "can run" : "cannot run here"
            let warning = kernel.tested ? "" : ", untested: runs only where it is asked for"
            try line("  \(kernel.name)", "\(kernel.instruction): \(use)\(warning)")
        }
        try StandardOutput.line("\nmeasured float32 multiply-add peak of these kernels")
        try line("  one thread", rate(KernelInfo.measurePeak(seconds: 0.2)))
        try line("  all \(threadCount) threads", rate(peakOfAllThreads()))
        if let rates = KernelInfo.measureBFloat16Kernels() {
            try StandardOutput.line("\nmeasured bf16 micro-kernels, one tile in L1, one thread")
            try line("  widen", rate(rates.widen))
            try line("  native", rate(rates.native))
        }
    }

    /// The CPUs on which the process may run, those that `taskset` or a container's set of CPUs leaves.
    private var allowedCPUs: Int {
        let allowed = Int(start_allowed_cpus())
        return allowed > 0 ? allowed : ProcessInfo.processInfo.activeProcessorCount
    }

    private func quota(_ limits: ResourceLimits) -> String {
        guard let cpus = limits.cpus else { return "no quota" }
        return
            "a quota of \(cpus.formatted(decimals: 2)), so \(Int(cpus.rounded(.up))) threads at most unless told otherwise"
    }

    private func memory(_ limits: ResourceLimits) -> String {
        func gibibytes(_ bytes: Int) -> String { "\((Double(bytes) / 0x1p30).formatted(decimals: 2)) GiB" }
        var parts = ["\(gibibytes(ProcessMemory.total)) in the machine"]
        if ProcessMemory.limit < ProcessMemory.total {
            let group = limits.memory == ProcessMemory.limit ? limits.memoryUsed : nil
            parts.append("limit \(gibibytes(ProcessMemory.limit))" + (group.map { ", in use \(gibibytes($0))" } ?? ""))
        } else {
            parts.append("no limit")
        }
        return (parts + ["\(gibibytes(ProcessMemory.available)) available"]).joined(separator: "; ")
    }

    private func line(_ name: String, _ value: String) throws { try StandardOutput.line("\(name.padded(18)) \(value)") }

    private func rate(_ flops: Double) -> String { "\((flops / 1e9).formatted(decimals: 1)) GFLOP/s" }

    /// The sum of the rates of threads that measure at the same time.
    private func peakOfAllThreads() -> Double {
        let sum = Mutex(0.0)
        DispatchQueue.concurrentPerform(iterations: threadCount) { _ in
            let peak = KernelInfo.measurePeak(seconds: 0.2)
            sum.withLock { $0 += peak }
        }
        return sum.withLock { $0 }
    }

    /// The kernel's setting for transparent huge pages: the word in brackets is in force.
    private var hugePages: String {
        let path = "/sys/kernel/mm/transparent_hugepage/enabled"
        guard let text = RegularFile.text(of: FilePath(path)) else { return "unknown: no \(path)" }
        let setting = text.split(whereSeparator: { "[]".contains($0) }).dropFirst().first.map(String.init) ?? text
        switch setting {
        case "always": return "always: large blocks get them"
        case "madvise": return "madvise: large blocks ask for them"
        default: return "\(setting): large blocks do without, the first touch of their memory is slower"
        }
    }
}

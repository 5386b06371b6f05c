// A quota of CPU time, of a control group that is made for the test, bounds the default number of threads.
import Foundation
import Testing

@Suite struct ContainerTests {
    /// Runs a script in which $G is a new control group of half a CPU and "$@" the command; nil where no group can be made here.
    private static func inGroup(_ script: String, _ arguments: [String], _ environment: [String: String] = [:]) throws
        -> String?
    {
        let setUp = """
            if [ -d /sys/fs/cgroup/cpu ]; then G=/sys/fs/cgroup/cpu/needletail-$$; else G=/sys/fs/cgroup/needletail-$$; fi
            mkdir $G 2>/dev/null || exit 99
            if [ -f $G/cpu.cfs_quota_us ]; then echo 50000 > $G/cpu.cfs_quota_us; else echo '50000 100000' > $G/cpu.max; fi || s=99
            \(script)
            rmdir $G
            exit ${s:-0}
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", setUp, "sh"] + arguments
        let inherited = ProcessInfo.processInfo.environment.filter { $0.key != "OMP_NUM_THREADS" }
        process.environment = inherited.merging(environment) { $1 }
        let pipe = Pipe()
        (process.standardOutput, process.standardError) = (pipe, FileHandle.nullDevice)
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return process.terminationStatus == 99 ? nil : output
    }

    private static let canMakeGroups = (try? inGroup("", [])) != nil

    @Test(.enabled(if: canMakeGroups, "no control group with a quota can be made here")) func aQuotaBoundsTheThreads()
        throws
    {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("needletail").path
        func doctor(_ arguments: [String] = [], _ environment: [String: String] = [:]) throws -> String {
            // The shell that enters the group ends with the command.
            let script = "sh -c 'echo $$ > '$G'/cgroup.procs && exec \"$@\"' sh \"$@\" || s=1; sleep 0.1"
            return try Self.inGroup(script, [program, "doctor"] + arguments, environment) ?? ""
        }
        let usual = try doctor()
        #expect(usual.contains("a quota of 0.50, so 1 threads at most") && usual.contains(/threads +1\n/), "\(usual)")
        // Whoever says how many are wanted is obeyed.
        #expect(try doctor(["--threads", "2"]).contains(/threads +2\n/))
        #expect(try doctor([], ["OMP_NUM_THREADS": "2"]).contains(/threads +2\n/))
    }
}

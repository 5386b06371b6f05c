// OpenMP's runtime ends a process whose environment or shared memory it does not like, some of them by chance only. The command
// goes on, says so once, and computes the same bits.
import Foundation
import Testing

@Suite struct OpenMPSurroundingsTests {
    /// Trains for two steps in `folder` by way of a shell script that ends in "exec "$@"", and returns what was said and the weights.
    private func train(
        _ scratch: Scratch, _ name: String, script: String = "exec \"$@\"", environment: [String: String] = [:]
    ) throws -> (complaint: String, weights: Data) {
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("needletail").path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let arguments = "train --max-steps 2 --batch-size 256 --limit-val-batches 1 --quiet --checkpoint".split(
            separator: " ")
        process.arguments =
            ["-c", script, "sh", program] + arguments.map(String.init) + [scratch.path(name)]
        let inherited = ProcessInfo.processInfo.environment.filter { key, _ in
            !["OMP_", "KMP_", "GOMP_"].contains { key.hasPrefix($0) }
        }
        process.environment = inherited.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        let path = try scratch.write([], name + ".complaint")
        process.standardError = FileHandle(forWritingAtPath: path)
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        // A runtime that hangs must not hang the test.
        let deadline = Date(timeIntervalSinceNow: 60)
        while process.isRunning, Date() < deadline { usleep(5000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        let complaint = try String(contentsOfFile: path, encoding: .utf8)
        #expect(process.terminationReason == .exit && process.terminationStatus == 0, "\(name): \(complaint)")
        return (
            complaint,
            (try? Data(contentsOf: URL(fileURLWithPath: scratch.path(name) + "/last/model.safetensors"))) ?? Data()
        )
    }

    /// Each way is tried several times: some of the runtime's failures depend on what its memory held before.
    private func expect(
        _ words: [String], _ repetitions: Int, script: String = "exec \"$@\"", environment: [String: String] = [:]
    ) throws {
        let scratch = try Scratch()
        let plain = try train(scratch, "plain")
        #expect(plain.complaint == "" && !plain.weights.isEmpty)
        for index in 0..<repetitions {
            let run = try train(scratch, "\(index)", script: script, environment: environment)
            #expect(run.weights == plain.weights, "\(environment) \(script)")
            let warnings = run.complaint.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
            #expect(warnings.count == (words.isEmpty ? 0 : 1), "\(run.complaint)")
            for word in words { #expect(warnings.first?.contains(word) == true, "\(run.complaint)") }
            #expect(!run.complaint.contains("OMP:"), "\(run.complaint)")
        }
    }

    @Test(arguments: ["", " ", "abc", "-1", "0", "2.5", "4,,2", "2,x", "99999999", "99999999999999999999"])
    func aWrongNumberOfThreadsIsIgnored(_ value: String) throws {
        try expect(
            ["OMP_NUM_THREADS is \"\(value)\"", "ignored", "unset it"], 20, environment: ["OMP_NUM_THREADS": value])
    }

    static let wrong = [
        ("OMP_STACKSIZE", "1T"), ("OMP_STACKSIZE", ""), ("OMP_STACKSIZE", "99999999999999999999"),
        ("OMP_STACKSIZE", "1"),
        ("GOMP_STACKSIZE", "1T"), ("KMP_STACKSIZE", "99999999999999999999"), ("OMP_PROC_BIND", ""),
        ("OMP_PROC_BIND", "abc"),
        ("OMP_PLACES", ""), ("OMP_PLACES", "abc"), ("OMP_WAIT_POLICY", "lazy"), ("OMP_DYNAMIC", "maybe"),
        ("OMP_THREAD_LIMIT", "0"), ("OMP_THREAD_LIMIT", ""), ("KMP_BLOCKTIME", "abc"), ("KMP_BLOCKTIME", ""),
        ("GOMP_CPU_AFFINITY", "1T"), ("KMP_ADAPTIVE_LOCK_PROPS", ""), ("KMP_ALIGN_ALLOC", "1T"),
        ("KMP_CPUINFO_FILE", "none"),
        ("KMP_FORCE_REDUCTION", ""), ("KMP_FORKJOIN_BARRIER", "0"), ("KMP_GTID_MODE", "1"), ("KMP_TASKING", "1"),
        ("KMP_HOT_TEAMS_MAX_LEVEL", "99999999999999999999"), ("KMP_SPIN_BACKOFF_PARAMS", ""), ("KMP_STACKOFFSET", "1T"),
        ("KMP_DEVICE_THREAD_LIMIT", "1"), ("KMP_ALL_THREADS", "0"), ("OMP_DISPLAY_AFFINITY", "true"),
        ("OMP_NESTED", "x"), ("OMP_DISPLAY_ENV", "x"), ("KMP_LIBRARY", "x"), ("KMP_A_DEBUG", "99999999999999999999"),
    ]

    @Test(arguments: wrong) func anotherWrongValueIsIgnored(_ name: String, _ value: String) throws {
        try expect(["\(name) is \"\(value)\"", "ignored"], 2, environment: [name: value])
    }

    /// What is right keeps its meaning, and nothing is said.
    @Test(arguments: [
        ("OMP_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "4,2"), ("OMP_NUM_THREADS", " 3 "), ("OMP_NUM_THREADS", "300"),
        ("OMP_THREAD_LIMIT", "1"), ("OMP_DYNAMIC", "true"), ("OMP_PROC_BIND", "close"),
        ("OMP_PROC_BIND", "spread,close"),
        ("OMP_PLACES", "cores"), ("OMP_PLACES", "{0}"), ("OMP_WAIT_POLICY", "PASSIVE"), ("OMP_STACKSIZE", "16M"),
        ("OMP_STACKSIZE", "16384"), ("KMP_STACKSIZE", "4m"), ("KMP_BLOCKTIME", "0"), ("KMP_BLOCKTIME", "infinite"),
        ("KMP_AFFINITY", "compact"), ("KMP_DUPLICATE_LIB_OK", "TRUE"), ("KMP_INIT_AT_FORK", "FALSE"),
        ("GOMP_CPU_AFFINITY", "0"), ("KMP_CONSISTENCY_CHECK", "all"), ("OMP_DISPLAY_AFFINITY", "false"),
        ("MY_OMP_NUM_THREADS", "abc"),
    ]) func whatIsRightIsLeftAlone(_ name: String, _ value: String) throws {
        try expect([], 2, environment: [name: value])
    }

    /// OpenBLAS's threads ask again and again for memory that they do not get, and the process's end waited for them.
    @Test func aLimitOfMemoryDoesNotKeepItFromEnding() throws {
        try expect([], 2, script: "ulimit -v 262144; exec \"$@\"", environment: ["OMP_NUM_THREADS": "1"])
    }

    @Test func severalWrongValuesAreOneWarning() throws {
        try expect(
            ["OMP_NUM_THREADS is \"\"", "OMP_PROC_BIND is \"x\""], 2,
            environment: ["OMP_NUM_THREADS": "", "OMP_PROC_BIND": "x"])
    }

    // Shared memory. A mount of its own is for the process alone.

    /// Why no process may have mounts of its own here; nil where it may.
    private static let unshareProblem: String? = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "unshare -m mount -t tmpfs -o ro none /dev/shm"]
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        guard (try? process.run()) != nil else { return "no /bin/sh" }
        process.waitUntilExit()
        return process.terminationStatus == 0 ? nil : "unshare -m is not permitted"
    }()

    /// How /dev/shm becomes of no use. It is missing where /dev is a folder without it.
    static let unusable: [(String, String)] = [
        ("missing", "d=$(mktemp -d); cp -a /dev/null /dev/zero /dev/urandom $d; mount --bind $d /dev"),
        ("read-only", "mount -t tmpfs -o ro none /dev/shm"),
        ("full", "mount -t tmpfs -o size=4k none /dev/shm; head -c 4096 /dev/zero > /dev/shm/x"),
        ("without room for a name", "mount -t tmpfs -o nr_inodes=1 none /dev/shm"),
    ]

    @Test(.enabled(if: unshareProblem == nil, "unshare -m is not permitted"), arguments: unusable)
    func withoutSharedMemoryThereIsOneThread(_ name: String, _ script: String) throws {
        try expect(["/dev/shm", "one thread"], 20, script: "exec unshare -m sh -c '\(script); exec \"$@\"' sh \"$@\"")
    }

    /// A file under the name of the runtime's own, which a killed process of the same number has left.
    @Test(
        .enabled(if: unshareProblem == nil, "unshare -m is not permitted"),
        arguments: ["garbage", "7f0000000000-1-libomp.so", ""])
    func aStaleNoteIsRemoved(_ text: String) throws {
        let script =
            "mount -t tmpfs none /dev/shm; echo \"\(text)\" > /dev/shm/__KMP_REGISTERED_LIB_$$_$(id -u); exec \"$@\""
        try expect([], 20, script: "exec unshare -m sh -c '\(script)' sh \"$@\"")
    }

    /// Whether another user can be taken here, whose processes are counted: root's are not.
    private static let canBeAnother: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "prlimit --nproc=1 setpriv --reuid 65531 --clear-groups true"]
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    /// However few threads a user may have, down to the process's first one, a run ends, with the same bits.
    @Test(.enabled(if: canBeAnother, "setpriv is not permitted"), arguments: 1...6)
    func fewThreadsAreEnough(_ most: Int) throws {
        let scratch = try Scratch()
        let plain = try train(scratch, "plain")
        // The program as that user may run it, and a folder that it may write to.
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("needletail")
        try FileManager.default.copyItem(at: program, to: scratch.folder.appendingPathComponent("program"))
        let script = """
            shift; chmod 777 \(scratch.folder.path); chmod 755 \(scratch.path("program"))
            exec prlimit --nproc=\(most) setpriv --reuid 65531 --clear-groups \(scratch.path("program")) "$@"
            """
        for index in 0..<5 {
            let run = try train(scratch, "\(index)", script: script)
            #expect(run.weights == plain.weights && !run.weights.isEmpty, "\(run.complaint)")
            #expect(run.complaint.isEmpty || run.complaint.contains("can be had"), "\(run.complaint)")
        }
    }

    @Test func theDoctorSaysWhetherOpenMPIsUsed() throws {
        let usual = try Needletail.succeeds("doctor --threads 1").output
        #expect(
            usual.contains("libomp, OpenMP") && usual.contains("may be used; ") && usual.contains("in the machine; "))
        guard Self.unshareProblem == nil else { return }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent("needletail").path
        process.arguments = [
            "-c", "exec unshare -m sh -c 'mount -t tmpfs -o ro none /dev/shm; exec \"$@\"' sh \"$0\" doctor", program,
        ]
        let pipe = Pipe()
        (process.standardOutput, process.standardError) = (pipe, FileHandle.nullDevice)
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(output.contains("not used: shared memory (/dev/shm) cannot be written: Read-only file system"))
        #expect(output.contains(/threads +1\n/))
    }
}

import CSIMD
import Foundation
import Testing

/// Limits of control groups, read from trees of files as Linux shows them in containers, services and without either.
@Suite struct LimitsTests {
    /// A machine: files by path below the root, and what its process is allowed.
    struct Machine: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let files: [String: String]
        var cpus = Double.infinity
        var memory = UInt64.max
        var free = UInt64.max
        var used: UInt64 = 0
    }

    private static let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let first = """
        31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
        32 23 0:28 / /sys/fs/cgroup/memory rw shared:6 - cgroup cgroup rw,memory

        """
    private static let greatest = "9223372036854771712\n"  // version 1 for no limit

    private static func tree(_ mounts: String, _ groups: String, _ files: [String: String]) -> [String: String] {
        files.merging(["proc/self/mountinfo": mounts, "proc/self/cgroup": groups]) { $1 }
    }

    static let machines = [
        Machine(testDescription: "nothing", files: [:]),
        Machine(
            testDescription: "v2: none",
            files: tree(
                unified, "0::/app\n",
                ["sys/fs/cgroup/app/cpu.max": "max 100000\n", "sys/fs/cgroup/app/memory.max": "max\n"])),
        Machine(
            testDescription: "v2: its own group",
            files: tree(
                unified, "0::/app\n",
                [
                    "sys/fs/cgroup/app/cpu.max": "150000 100000\n", "sys/fs/cgroup/app/memory.max": "1000000\n",
                    "sys/fs/cgroup/app/memory.high": "max\n", "sys/fs/cgroup/app/memory.current": "600000\n",
                    "sys/fs/cgroup/app/memory.stat": "anon 1\nfile 7\ninactive_file 100000\nactive_file 3\n",
                ]), cpus: 1.5, memory: 1_000_000, free: 500_000, used: 600_000),
        Machine(
            testDescription: "v2: an ancestor's, and memory.high",
            files: tree(
                unified, "0::/slice/app/worker\n",
                [
                    "sys/fs/cgroup/slice/cpu.max": "50000 100000\n",
                    "sys/fs/cgroup/slice/app/cpu.max": "400000 100000\n",
                    "sys/fs/cgroup/slice/app/worker/cpu.max": "max 100000\n",
                    "sys/fs/cgroup/slice/memory.max": "5000\n", "sys/fs/cgroup/slice/memory.current": "4000\n",
                    "sys/fs/cgroup/slice/app/memory.high": "3000\n", "sys/fs/cgroup/slice/app/memory.current": "100\n",
                ]), cpus: 0.5, memory: 3000, free: 1000, used: 100),
        Machine(
            testDescription: "v2: a namespace of its own, whose root is the mount point",
            files: tree(
                unified, "0::/\n",
                ["sys/fs/cgroup/cpu.max": "200000 100000\n", "sys/fs/cgroup/memory.max": "77\n"]),
            cpus: 2, memory: 77, free: 77),
        Machine(
            testDescription: "v2: outside of its namespace",
            files: tree(
                unified, "0::/../../other\n",
                ["sys/fs/cgroup/cpu.max": "300000 100000\n", "sys/fs/cgroup/other/cpu.max": "1 100000\n"]), cpus: 3),
        Machine(
            testDescription: "v1: a container sees its own group at the mount point",
            files: tree(
                first.replacingOccurrences(of: " / /sys", with: " /docker/abc /sys"),
                "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
                [
                    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
                    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                    "sys/fs/cgroup/memory/memory.limit_in_bytes": "4096000\n",
                    "sys/fs/cgroup/memory/memory.usage_in_bytes": "96000\n",
                ]), cpus: 2.5, memory: 4_096_000, free: 4_000_000, used: 96000),
        Machine(
            testDescription: "v1: none",
            files: tree(
                first, "4:memory:/\n3:cpu,cpuacct:/\n",
                [
                    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                    "sys/fs/cgroup/memory/memory.limit_in_bytes": greatest,
                ])),
        Machine(
            testDescription: "v1: nested, an ancestor's limit in memory.stat",
            files: tree(
                first, "4:memory:/a/b\n3:cpu,cpuacct:/a/b\n",
                [
                    "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "100000\n",
                    "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "200000\n",
                    "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n",
                    "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
                    "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": greatest,
                    "sys/fs/cgroup/memory/a/b/memory.usage_in_bytes": "500\n",
                    "sys/fs/cgroup/memory/a/b/memory.stat":
                        "cache 5\nhierarchical_memory_limit 900\ntotal_inactive_file 0\n",
                ]), cpus: 0.5, memory: 900, free: 400, used: 500),
        Machine(
            testDescription: "hybrid: v1 controllers beside an empty v2 hierarchy",
            files: tree(
                first + unified.replacingOccurrences(of: "/sys/fs/cgroup ", with: "/sys/fs/cgroup/unified "),
                "4:memory:/m\n3:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u\n",
                [
                    "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "700000\n",
                    "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
                    "sys/fs/cgroup/memory/m/memory.limit_in_bytes": "12\n",
                    "sys/fs/cgroup/unified/u/cgroup.procs": "1\n",
                ]), cpus: 7, memory: 12, free: 12),
        Machine(
            testDescription: "cpuacct and cpuset are not cpu",
            files: tree(
                "31 23 0:27 / /g rw - cgroup cgroup rw,cpuacct,cpuset\n", "3:cpuacct,cpuset:/\n",
                ["g/cpu.cfs_quota_us": "1\n", "g/cpu.cfs_period_us": "2\n"])),
        Machine(
            testDescription: "a mount point with a space",
            files: tree(
                "30 23 0:26 / /my\\\\040groups rw - cgroup2 cgroup2 rw\n".replacingOccurrences(of: "\\\\", with: "\\"),
                "0::/x\n", ["my groups/x/cpu.max": "100000 100000\n"]), cpus: 1),
        Machine(
            testDescription: "usage above the limit",
            files: tree(
                unified, "0::/\n",
                ["sys/fs/cgroup/memory.max": "100\n", "sys/fs/cgroup/memory.current": "150\n"]),
            memory: 100, free: 0, used: 150),
        Machine(
            testDescription: "malformed",
            files: tree(
                unified + "\n30\n31 2 - cgroup2\n32 23 0:28 / /m rw - cgroup\n" + String(repeating: "x ", count: 5000),
                "0::/app\n::\n0\n5:cpu\n9:cpu:relative\n",
                [
                    "sys/fs/cgroup/app/cpu.max": "many\n", "sys/fs/cgroup/cpu.max": "5\n",
                    "sys/fs/cgroup/app/memory.max": "-5\n", "sys/fs/cgroup/memory.max": "12abc\n",
                    "sys/fs/cgroup/app/memory.high": "",
                ])),
        Machine(
            testDescription: "a quota of nothing and a period of nothing",
            files: tree(
                unified, "0::/app\n",
                ["sys/fs/cgroup/app/cpu.max": "0 100000\n", "sys/fs/cgroup/cpu.max": "100000 0\n"])),
    ]

    @Test(arguments: machines) func theNearestLimitOfEveryAncestorHolds(_ machine: Machine) throws {
        let root = FileManager.default.temporaryDirectory.appendingPathComponent("limits-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: root) }
        for (path, text) in machine.files {
            let file = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
        let limits = csimd_read_limits(root.path)
        #expect(limits.cpus == machine.cpus)
        #expect(limits.memory == machine.memory)
        #expect(limits.memory_free == machine.free)
        #expect(limits.memory_used == machine.used)
    }

    /// What the process really has: within the machine, and more than nothing.
    @Test func theProcessHasMemoryWithinTheMachines() {
        let memory = csimd_measure_memory()
        #expect(memory.resident > 0 && memory.resident <= memory.total)
        #expect(memory.limit > 0 && memory.limit <= memory.total)
        #expect(memory.available > 0)
        #expect(csimd_thread_count() >= 1 && csimd_thread_count() <= 256)
    }
}

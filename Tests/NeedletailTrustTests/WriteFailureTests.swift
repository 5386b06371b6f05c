// Disks that are full: exit code 74 and one clear line, and what was there before is intact.
import Foundation
import Needletail
import Testing

@Suite struct WriteFailureTests {
    private let options = "train --quiet --hidden 24 --threads 1"

    /// The files of a checkpoint by name.
    private func files(_ path: String) -> [String: [UInt8]] {
        let names = ["model.safetensors", "optimizer.safetensors", "state.json"]
        return Dictionary(uniqueKeysWithValues: names.map { ($0, contents(path + "/" + $0)) })
    }

    private func expectFailure(_ process: CommandProcess, saying parts: [String], _ what: String) {
        #expect(process.wait() == 74, "\(what): \(process.complaint)")
        #expect(process.complaint.split(separator: "\n").count == 1, "\(what): \(process.complaint)")
        for part in parts { #expect(process.complaint.contains(part), "\(what): \(process.complaint)") }
    }

    /// Writes that fail after so many bytes of a file, at every place where one of a checkpoint can.
    @Test func aCheckpointThatCannotBeWritten() throws {
        let scratch = try Scratch()
        let run = scratch("run")
        try CommandProcess.succeeds("\(options) --epochs 1 --checkpoint \(run)")
        let before = files(run + "/last")
        let largest = try #require(before.values.map(\.count).max())
        var named: Set<String> = []
        for limit in stride(from: 2, to: largest / 512, by: 3) {
            let process = try CommandProcess(
                "\(options) --epochs 2 --checkpoint \(run) --resume last", limit: limit)
            expectFailure(process, saying: [run + "/last", "File too large", "unchanged"], "\(limit) blocks")
            for name in before.keys where process.complaint.contains("/\(name)'") { named.insert(name) }
            #expect(files(run + "/last") == before)
            #expect(scratch.names(in: "run") == ["last", "run.json"])
        }
        #expect(named.isSuperset(of: ["model.safetensors", "optimizer.safetensors"]), "\(named)")
        try CommandProcess.succeeds("\(options) --epochs 2 --checkpoint \(run) --resume last")
        #expect(try Checkpoint(run + "/last").state.epoch == 2)
    }

    /// A file system that has room for one checkpoint and a half. The old one is read where it stands, then copied out.
    @Test(.enabled(if: CommandProcess.canMount, "mounting a small file system needs user name spaces"))
    func aFullFileSystem() throws {
        let scratch = try Scratch()
        let disk = scratch("disk")
        try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
        let setup = """
            mount -t tmpfs -o size=48k tmpfs '\(disk)'
            finish() { status=$?; ls -A '\(disk)/run' >'\(scratch("names"))'; cp -a '\(disk)/run' '\(scratch("copy"))'; exit $status; }
            trap finish EXIT
            """
        let process = try CommandProcess(
            "\(options) --epochs 3 --checkpoint \(disk)/run", setup: setup, isMounting: true)
        expectFailure(process, saying: ["No space left on device", "unchanged"], "a full disk")
        #expect(String(decoding: contents(scratch("names")), as: UTF8.self) == "last\nrun.json\n")
        #expect(try Checkpoint(scratch("copy/last")).state.epoch == 1)
        try CommandProcess.succeeds("\(options) --epochs 3 --checkpoint \(scratch("copy")) --resume last")
    }

    @Test func otherFilesThatCannotBeWritten() throws {
        let scratch = try Scratch()
        let metrics = scratch("metrics.jsonl")
        expectFailure(
            try CommandProcess("\(options) --epochs 2 --metrics \(metrics)", limit: 4),
            saying: [metrics, "File too large"], "metrics")
        let lines = String(decoding: contents(metrics), as: UTF8.self)
        #expect(
            lines.utf8.count <= 2048 && lines.utf8.count > 1024 && lines.hasSuffix("\n"), "the lines that fit are there"
        )
        expectFailure(
            try CommandProcess("\(options) --epochs 2 --metrics /dev/full"), saying: ["/dev/full", "No space"],
            "/dev/full")

        let page = scratch("page.html")
        try write([1, 2, 3], to: page)
        expectFailure(
            try CommandProcess("\(options) --epochs 1 --numerics \(page)", limit: 4), saying: [page, "File too large"],
            "page")
        #expect(contents(page) == [1, 2, 3] && scratch.names() == ["metrics.jsonl", "page.html"])

        for path in [scratch("page.html/metrics"), scratch.path] {
            expectFailure(
                try CommandProcess("\(options) --epochs 1 --metrics \(path)"), saying: [path], "no such place")
        }
        expectFailure(
            try CommandProcess("\(options) --epochs 1 --checkpoint \(page)"), saying: [page], "a file for a folder")
        expectFailure(
            try CommandProcess("\(options) --epochs 1 >/dev/full"), saying: ["standard output", "No space"], "stdout")
    }
}

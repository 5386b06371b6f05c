// Every option that names an output: what may stand at its path, and that it is tried before training.
import Foundation
import Needletail
import Testing

@Suite struct OutputOptionTests {
    /// The options that name a file, and how the file is written.
    private static let lines = ["--metrics", "--csv"], pages = ["--report", "--numerics", "--trace"]
    private static var files: [String] { lines + pages }
    private static let short = "train --quiet --epochs 1 --log-every-n-steps 5"

    private func run(_ arguments: String) throws -> Needletail {
        try Needletail(arguments.split(separator: " ").map(String.init))
    }

    private func kind(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    private func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

    /// Where nothing can be written the option is named, in one line, before the first step; nothing is left behind and
    /// nothing that is there changes.
    @Test(arguments: files + ["--tensorboard", "--checkpoint"])
    func aPlaceThatCannotBeWrittenIsToldOfFirst(_ option: String) throws {
        let scratch = try Scratch()
        _ = try scratch.write(Array("mine".utf8), "file")
        try FileManager.default.createDirectory(atPath: scratch.path("folder"), withIntermediateDirectories: false)
        #expect(symlink("loop", scratch.path("loop")) == 0)
        var places = ["file/in/it", "loop", String(repeating: "n", count: 300)].map(scratch.path)
        places += ["/proc/needletail/out", "/sys/out"]
        if Self.files.contains(option) {
            places += [scratch.path("folder"), scratch.path("folder/"), "/dev/needletail"]
        }
        // The other outputs can be written, and are not.
        let others = (Self.files + ["--tensorboard"]).filter { $0 != option }
            .map { "\($0) \(scratch.path("new/deep/\($0.dropFirst(2))"))" }.joined(separator: " ")
        for place in places where option != "--checkpoint" || place == places[0] {
            let run = try run("\(Self.short) \(option) \(place) \(others)")
            #expect(run.status == 74 && run.complaints.count == 1, "\(option) \(place): \(run.status) \(run.complaint)")
            #expect(run.complaint.hasPrefix("needletail: \(option) \(place): "), "\(run.complaint)")
            #expect(text(scratch.path("file")) == "mine")
            let left = try scratch.files(below: ".").keys
            #expect(left.count == 1, "\(left)")
        }
    }

    /// A device, a pipe, a socket or a link to one of them is never replaced.
    @Test(arguments: files) func whatIsNoFileStaysWhatItIs(_ option: String) throws {
        let scratch = try Scratch()
        let (null, full, pipe) = (scratch.path("null"), scratch.path("full"), scratch.path("pipe"))
        for (path, device) in [(null, "/dev/null"), (full, "/dev/full")] { #expect(symlink(device, path) == 0) }
        #expect(mkfifo(pipe, 0o600) == 0)
        let isLines = Self.lines.contains(option)
        for place in ["/dev/null", null] {
            let run = try run("\(Self.short) \(option) \(place)")
            #expect(run.status == (isLines ? 0 : 74), "\(option) \(place): \(run.complaint)")
            if !isLines { #expect(run.complaint.contains("\(option) \(place): it is a device"), "\(run.complaint)") }
        }
        let run1 = try run("\(Self.short) \(option) \(full)")
        #expect(run1.status == 74 && run1.complaint.hasPrefix("needletail: \(option) \(full): "), "\(run1.complaint)")
        let other = isLines ? Self.lines.first { $0 != option } ?? "" : "--metrics"
        let old = try scratch.write(Array("mine".utf8), "old")
        let unread = try run(
            "\(Self.short) \(option) \(pipe) \(other) \(old) --tensorboard \(scratch.path("events"))")
        #expect(text(old) == "mine" && !FileManager.default.fileExists(atPath: scratch.path("events")))
        #expect(unread.status == 74 && unread.complaint.contains("pipe"), "\(unread.complaint)")
        #expect([null, full].allSatisfy { kind($0) == S_IFLNK } && kind(pipe) == S_IFIFO)
        #expect(kind("/dev/null") == S_IFCHR && kind("/dev/full") == S_IFCHR)
        guard isLines else { return }
        // A pipe that is read is written to.
        let reader = open(pipe, O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let read = try run("\(Self.short) --epochs 1 \(option) \(pipe)")
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = Foundation.read(reader, &bytes, bytes.count)
        let found = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        #expect(read.status == 0 && found.hasPrefix(option == "--csv" ? "epoch,step," : "{\"event\""), "\(found)")
    }

    /// Descriptors by name are this process's: nothing in /dev is replaced, no file is emptied.
    @Test func standardOutputCanBeALog() throws {
        let scratch = try Scratch()
        let path = try scratch.write([], "printed")
        for (option, start) in [("--csv", "epoch,step,"), ("--metrics", "{\"event\":\"step\"")] {
            for place in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
                let run = try SpawnedNeedletail("\(Self.short) \(option) \(place)", output: .file(path))
                #expect(run.wait().status == 0, "\(place): \(run.complaint)")
                let lines = text(path).split(separator: "\n")
                #expect(lines.first?.hasPrefix(start) == true && lines.count > 5, "\(lines)")
                #expect(lines.contains { $0.hasPrefix("test_accuracy ") }, "\(lines)")
                try Data().write(to: URL(fileURLWithPath: path))
            }
        }
        for option in Self.pages {
            let run = try SpawnedNeedletail("\(Self.short) \(option) /dev/stdout", output: .file(path))
            #expect(run.wait().status == 74 && run.complaint.contains("\(option) /dev/stdout: it is a descriptor"))
            #expect(text(path) == "")
        }
        let closed = try SpawnedNeedletail("\(Self.short) --csv /dev/stderr", error: .closed)
        #expect(closed.wait().status == 74)
        #expect(kind("/dev/stdout") == S_IFLNK)
    }

    /// A symbolic link stays, and what it leads to is written, also where that is not there yet.
    @Test(arguments: files) func linksAreFollowedAndStay(_ option: String) throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(atPath: scratch.path("else"), withIntermediateDirectories: false)
        for old in ["old\n", nil] {
            if let old { _ = try scratch.write(Array(old.utf8), "else/file") }
            #expect(symlink("else/file", scratch.path("link")) == 0 && symlink("link", scratch.path("again")) == 0)
            let run = try run("\(Self.short) \(option) \(scratch.path("again"))")
            #expect(run.status == 0, "\(run.complaint)")
            #expect(kind(scratch.path("link")) == S_IFLNK && kind(scratch.path("again")) == S_IFLNK)
            let written = text(scratch.path("else/file"))
            #expect(written.utf8.count > 100 && !written.contains("old\n"))
            #expect(try scratch.files(below: ".").keys.sorted() == ["else/file"])
            for name in ["else/file", "link", "again"] { unlink(scratch.path(name)) }
        }
    }

    /// Folders that are missing are made, for every output.
    @Test(arguments: files + ["--tensorboard"]) func missingFoldersAreMade(_ option: String) throws {
        let scratch = try Scratch()
        let run = try run("\(Self.short) \(option) \(scratch.path("a/b/out"))")
        #expect(run.status == 0, "\(run.complaint)")
        #expect(try scratch.files(below: "a/b").keys.contains { $0.hasPrefix("out") })
    }

    /// Two options that name one file, by whatever name, are refused, and so is an input.
    @Test func noFileHasTwoWriters() throws {
        let scratch = try Scratch()
        let file = scratch.path("out"), folder = scratch.folder.path
        #expect(symlink("out", scratch.path("link")) == 0 && symlink(folder, scratch.path("same")) == 0)
        let names = [file, folder + "/./out", folder + "//out", scratch.path("same/out"), scratch.path("link")]
        for isThere in [false, true] {
            if isThere { _ = try scratch.write(Array("mine".utf8), "out") }
            for (first, other) in [("--csv", "--metrics"), ("--report", "--numerics"), ("--trace", "--csv")] {
                for name in names {
                    let run = try run("\(Self.short) \(first) \(file) \(other) \(name)")
                    #expect(run.status == 64 && run.complaints.count == 1, "\(name): \(run.complaint)")
                    #expect(run.complaint.contains(first) && run.complaint.contains(other), "\(run.complaint)")
                    #expect(text(file) == (isThere ? "mine" : ""))
                }
            }
        }
        let config = try scratch.write(Array("epochs: 1\n".utf8), "run.yaml")
        let refused = try run("train --config \(config) --report \(config)")
        #expect(refused.status == 64 && refused.complaint.contains("--config"), "\(refused.complaint)")
        let corpus = try scratch.write(Array(String(repeating: "to be ", count: 200).utf8), "corpus")
        let read = try run("train-gpt --data \(corpus) --csv \(folder)/./corpus")
        #expect(read.status == 64 && read.complaint.contains("--data"), "\(read.complaint)")
        #expect(text(corpus).hasPrefix("to be") && text(config) == "epochs: 1\n")
        let shapes = try scratch.write(Array("8x8\n".utf8), "shapes")
        let drawn = try run("bench nll --shapes \(shapes) --roofline \(shapes)")
        #expect(drawn.status == 64 && text(shapes) == "8x8\n", "\(drawn.complaint)")
        let both = try run("\(Self.short) --checkpoint \(folder)/run --csv \(folder)/run")
        #expect(both.status == 64, "\(both.complaint)")
        // Where standard output goes by the shell's hand.
        let shell = try SpawnedNeedletail("\(Self.short) --csv \(file)", output: .file(file))
        #expect(shell.wait().status == 64 && text(file) == "mine")
        // Anyone may write to the device that forgets.
        #expect(try run("\(Self.short) --csv /dev/null --metrics /dev/null").status == 0)
    }

    /// A run that ends before its first step leaves what was there.
    @Test func aRunThatDoesNotBeginHarmsNoFile() throws {
        let scratch = try Scratch()
        let options = try Self.files.map { option in
            "\(option) \(try scratch.write(Array("mine".utf8), String(option.dropFirst(2))))"
        }.joined(separator: " ")
        for reason in ["--data \(scratch.path("nowhere"))", "--hidden 4294967296", "--init \(scratch.path("nowhere"))"]
        {
            #expect(try run("\(Self.short) \(reason) \(options)").status != 0)
            for option in Self.files { #expect(text(scratch.path(String(option.dropFirst(2)))) == "mine", "\(option)") }
        }
    }

    /// On a disk that fills the logs end at a whole line, and what was trained is saved.
    @Test(arguments: lines) func aFullDiskLeavesWholeLines(_ option: String) throws {
        let scratch = try Scratch()
        let log = scratch.path("log")
        // Checkpoints of this model take less than a limit of 16 KiB, the log does not.
        let run = try SpawnedNeedletail(
            "train --quiet --hidden 2 --batch-size 2 --log-every-n-steps 1 --epochs 3 \(option) \(log) --checkpoint "
                + scratch.path("run"), fileSizeLimit: 16)
        #expect(run.wait().status == 74)
        #expect(run.complaint.hasPrefix("needletail: \(option) \(log): File too large; "), "\(run.complaint)")
        #expect(run.complaint.hasSuffix("; saved \(scratch.path("run"))/last\n"), "\(run.complaint)")
        let written = text(log)
        #expect(written.hasSuffix("\n") && written.utf8.count <= 16 * 1024 && written.utf8.count > 15 * 1024)
        let lines = written.split(separator: "\n")
        let columns = lines.first?.split(separator: ",").count ?? 0
        #expect(columns >= 4 && lines.count > 20)
        for line in lines.dropFirst() {
            if option == "--csv" {
                let cells = line.split(separator: ",", omittingEmptySubsequences: false)
                #expect(cells.count == columns && cells.dropFirst(2).allSatisfy { Double($0) != nil }, "\(line)")
            } else {
                #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(line.utf8)) }
            }
        }
        #expect(throws: Never.self) { try Checkpoint(scratch.path("run/last")) }
    }
}

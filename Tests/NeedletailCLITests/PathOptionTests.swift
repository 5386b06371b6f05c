// Every option and argument that names a file or a folder means exactly that one.
import Foundation
import NeedletailFiles
import Testing

/// Names that programs stumble over, as bytes; one that begins with "-" is given with "./" before it.
private let names: [FilePath] = [
    "m", "~", "~x", "-x", "a b", "a\nb", "$HOME", "e\u{301}", "\u{301}", ".x", "漢",
    FilePath(bytes: [0xFF, 0xFE]), FilePath(bytes: [0x61, 0xC3]), FilePath(bytes: Array("\u{10FFFE}".utf8)),
    FilePath(bytes: [UInt8](repeating: 0x6E, count: 255)),
]

@Suite struct PathOptionTests {
    private static let training: [FilePath] = [
        "train", "--quiet", "--epochs", "1", "--hidden", "4", "--threads", "1", "--limit-train-batches", "2",
        "--limit-val-batches", "1", "--limit-test-batches", "1",
    ]

    private func argument(_ name: FilePath) -> FilePath {
        name.bytes.first == UInt8(ascii: "-") ? FilePath("./").appending(name) : name
    }

    private func present(_ folder: String) throws -> Set<FilePath> {
        Set(try FileSystem.names(in: FilePath(folder)))
    }

    /// A run of the command in `scratch` that must succeed.
    private func run(_ words: [FilePath], _ scratch: Scratch, location: SourceLocation = #_sourceLocation) throws
        -> RawNeedletail
    {
        let run = try RawNeedletail(words, in: scratch.folder.path)
        #expect(run.status == 0, "\(words): \(run.complaint)", sourceLocation: location)
        return run
    }

    /// Each output has the name that was given, in both ways of giving it, and nothing else is made in the folder.
    @Test(arguments: names) func outputsHaveTheirNames(_ name: FilePath) throws {
        let options = ["csv", "metrics", "report", "numerics", "trace", "tensorboard", "checkpoint"]
        for (index, option) in options.enumerated() {
            let scratch = try Scratch()
            let value = argument(name)
            let words: [FilePath] =
                index % 2 == 0
                ? [FilePath("--\(option)"), value] : [FilePath(bytes: FilePath("--\(option)=").bytes + value.bytes)]
            _ = try run(Self.training + words, scratch)
            #expect(try present(scratch.folder.path) == [name], "--\(option)")
            let isFolder = ["tensorboard", "checkpoint"].contains(option)
            let path = FilePath(scratch.folder.path).appending(name)
            #expect(FileSystem.isFolder(path) == isFolder, "--\(option)")
            if isFolder { #expect(try FileSystem.names(in: path) != [], "--\(option)") }
        }
    }

    /// The same from a variable of the environment and from a configuration file of that name.
    @Test(arguments: names) func variablesAndFilesNamePathsToo(_ name: FilePath) throws {
        let scratch = try Scratch()
        let byVariable = try RawNeedletail(
            Self.training, in: scratch.folder.path, environment: ["NEEDLETAIL_CSV": name])
        #expect(byVariable.status == 0, "\(byVariable.complaint)")
        #expect(try present(scratch.folder.path) == [name])
        try FileSystem.removeFile(FilePath(scratch.folder.path).appending(name))

        // What is printed is a file that means the same.
        let printed = try run(Self.training + ["--csv", argument(name), "--print-config"], scratch)
        try FileSystem.makeFolder(FilePath(scratch.path("settings")))
        let file = FilePath("settings").appending(name)
        try AtomicFile.write(printed.output, to: FilePath(scratch.folder.path).appending(file).text)
        _ = try run(["train", "--config", file], scratch)
        #expect(try present(scratch.folder.path) == [name, "settings"])
    }

    /// Inputs are read from the file or the folder of that name.
    @Test(arguments: names) func inputsAreFoundByTheirNames(_ name: FilePath) throws {
        let scratch = try Scratch()
        let folder = FilePath(scratch.folder.path)
        func place(_ source: String) throws {
            try FileSystem.rename(FilePath(scratch.path(source)), to: folder.appending(name))
        }
        func putBack(_ source: String) throws {
            #expect(try present(scratch.folder.path).contains(name))
            try FileSystem.rename(folder.appending(name), to: FilePath(scratch.path(source)))
        }
        let value = argument(name)
        _ = try run(Self.training + ["--checkpoint", "run"], scratch)
        try place("run")
        for words: [FilePath] in [
            ["evaluate", value, "--threads", "1"], ["inspect", value],
            Self.training + ["--epochs", "2", "--checkpoint", value, "--resume", "last"],
            Self.training + ["--epochs", "3", "--resume", value.appending("last")],
        ] { _ = try run(words, scratch) }
        try putBack("run")

        _ = try scratch.write([UInt8](repeating: 7, count: 64), "image")
        try place("image")
        let predicted = try run(["predict", "run", value], scratch)
        #expect(String(decoding: predicted.output, as: UTF8.self).hasPrefix("\(value): "))
        try putBack("image")

        try FileSystem.rename(FilePath(scratch.path("run/last/model.safetensors")), to: folder.appending(name))
        _ = try run(Self.training + ["--init", value], scratch)
        try FileSystem.removeFile(folder.appending(name))

        try FileSystem.makeFolder(FilePath(scratch.path("data")))
        for part in ["train", "t10k"] {
            _ = try scratch.write(idx([20, 4, 4], [UInt8](repeating: 3, count: 320)), "data/\(part)-images-idx3-ubyte")
            _ = try scratch.write(idx([20], (0..<20).map { $0 % 4 }), "data/\(part)-labels-idx1-ubyte")
        }
        try place("data")
        _ = try run(Self.training + ["--data", value, "--batch-size", "4"], scratch)
        try putBack("data")

        _ = try scratch.write(Array("To be, or not to be. ".utf8) * 20, "text")
        try place("text")
        _ = try run(
            [
                "train-gpt", "--quiet", "--layers", "1", "--heads", "1", "--width", "8", "--context", "8",
                "--max-steps",
                "2", "--threads", "1", "--data", value, "--checkpoint", "gpt",
            ], scratch)
        try putBack("text")
        try place("gpt")
        _ = try run(["generate", value, "--prompt", "T", "--count", "3"], scratch)
        try putBack("gpt")
    }

    /// The benchmarks' files too: shapes, measurements and the picture.
    @Test(arguments: ["m", "-x", "a b", FilePath(bytes: [0xFF, 0xFE])]) func benchmarksFindTheirFiles(
        _ name: FilePath
    ) throws {
        let scratch = try Scratch()
        let folder = FilePath(scratch.folder.path), value = argument(name)
        let bench: [FilePath] = ["bench", "gemm", "--types", "f32", "--rounds", "1", "--min-time", "0.001"]
        try AtomicFile.write(Array("8x8x8 small\n".utf8), to: folder.appending(name).text)
        let measured = try run(bench + ["--json", "--shapes", value], scratch)
        try AtomicFile.write(measured.output, to: folder.appending(name).text)
        _ = try run(["bench", "compare", value, value], scratch)
        try FileSystem.removeFile(folder.appending(name))
        _ = try run(bench + ["--shapes", "8x8x8", "--roofline", value], scratch)
        #expect(try present(scratch.folder.path) == [name])
    }

    /// Slashes and dots more than needed, and links, lead to the same folder.
    @Test(arguments: ["tensorboard", "checkpoint"]) func foldersMayBeWrittenInManyWays(_ option: String) throws {
        let scratch = try Scratch()
        for path in ["a//b/", "./a/b", "a/./b/.", "link/b", "a/b/../b"] {
            _ = try run(Self.training + [FilePath("--\(option)"), FilePath(path)], scratch)
            if !FileSystem.exists(FilePath(scratch.path("link"))) { symlink("a", scratch.path("link")) }
            #expect(
                try present(scratch.folder.path) == ["a", "link"] && present(scratch.path("a")) == ["b"], "\(path)")
            // A second run in a folder of checkpoints is another matter.
            if option == "checkpoint" { try FileSystem.removeTree(FilePath(scratch.path("a/b"))) }
        }
    }

    /// A name that is no text stands in messages so that it can be read, and in one line.
    @Test func messagesShowBytesThatAreNoText() throws {
        let scratch = try Scratch()
        for words: [FilePath] in [
            ["evaluate", FilePath(bytes: [0x61, 0xFF])],
            ["train", "--quiet", "--csv", FilePath(bytes: Array("/proc/".utf8) + [0x61, 0xFF])],
        ] {
            let run = try RawNeedletail(words, in: scratch.folder.path)
            #expect(run.status != 0 && run.complaint.contains("a\\xff"), "\(run.complaint)")
            #expect(run.complaint.split(separator: "\n").count == 1)
        }
    }

    /// An empty path is refused by the option's name, before anything is made.
    @Test(arguments: ["csv", "metrics", "report", "numerics", "trace", "tensorboard", "checkpoint", "resume", "init"])
    func anEmptyPathIsRefused(_ option: String) throws {
        let scratch = try Scratch()
        let run = try RawNeedletail(Self.training + [FilePath("--\(option)=")], in: scratch.folder.path)
        #expect(run.status == 64 && run.complaint.contains("--\(option)"), "\(run.status) \(run.complaint)")
        #expect(try present(scratch.folder.path).isEmpty)
    }

    /// What --print-config prints reads back, also where its source has a line's end in its name.
    @Test func printedSettingsReadBackWhateverTheirSourceIsCalled() throws {
        let scratch = try Scratch()
        let folder = scratch.path("settings")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data("epochs: 3\n".utf8).write(to: URL(fileURLWithPath: folder + "/a\nb"))
        let printed = try RawNeedletail(["train", "--print-config", "--config", "a\nb"], in: folder)
        try Data(printed.output).write(to: URL(fileURLWithPath: folder + "/printed"))
        let again = try RawNeedletail(["train", "--print-config", "--config", "printed"], in: folder)
        #expect(printed.status == 0 && again.status == 0, "\(again.complaint)")
        let text = String(decoding: again.output, as: UTF8.self)
        #expect(text.split(separator: "\n").contains { $0.hasPrefix("epochs: 3 ") }, "\(text)")
    }
}

private func * (bytes: [UInt8], count: Int) -> [UInt8] {
    (0..<count).flatMap { _ in bytes }
}

// Whole-file writes: the old content or the new, and nothing left behind.
import Foundation
import NeedletailFiles
import Testing

@Suite struct AtomicFileTests {
    private struct Stop: Error {}

    private func content(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    private func names(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    @Test func replacesTheWholeFile() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/file.json"
            try AtomicFile.write(Array("old and long".utf8), to: path)
            try AtomicFile.write(to: path) { write in
                try write(Array("n".utf8))
                // The old file stands until all is written.
                #expect(content(path) == "old and long")
                #expect(names(folder).count == 2)
                try write([])
                try write(Array("ew".utf8))
            }
            #expect(content(path) == "new")
            #expect(names(folder) == ["file.json"])
        }
    }

    @Test func aFailureLeavesTheOldFileAndNoOther() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/file"
            try AtomicFile.write(Array("old".utf8), to: path)
            #expect(throws: Stop.self) {
                try AtomicFile.write(to: path) { write in
                    try write(Array("new".utf8))
                    throw Stop()
                }
            }
            #expect(content(path) == "old" && names(folder) == ["file"])

            // A folder cannot be replaced by a file.
            try FileManager.default.createDirectory(atPath: folder + "/sub", withIntermediateDirectories: false)
            let error = #expect(throws: AtomicFileError.self) { try AtomicFile.write([1], to: folder + "/sub") }
            #expect(error?.systemError == EISDIR && names(folder) == ["file", "sub"])
        }
    }

    /// A device, a pipe, or a link to one stays what it is: a rename would put a file there for every program.
    @Test func devicesAndPipesAreNotReplaced() throws {
        try withTemporaryFolder { folder in
            let (pipe, link, plain) = (folder + "/pipe", folder + "/link", folder + "/plain")
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(symlink("/dev/null", link) == 0 && symlink(folder + "/target", plain) == 0)
            try Data("t".utf8).write(to: URL(fileURLWithPath: folder + "/target"))
            for path in [pipe, link] {
                let error = #expect(throws: AtomicFileError.self) { try AtomicFile.write([1], to: path) }
                #expect(error?.description.contains("'\(path)'") == true)
            }
            var status = stat()
            #expect(lstat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
            #expect(lstat(link, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
            #expect(names(folder) == ["link", "pipe", "plain", "target"])
            try AtomicFile.write([1], to: plain)  // a link to a file stays, the file is replaced
            #expect(lstat(plain, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
            #expect(content(folder + "/target") == "\u{1}" && content(plain) == "\u{1}")
        }
    }

    /// The next write to the same place clears what a killed one has left, for a flushed file and for one that is not.
    @Test(arguments: [true, false]) func whatAKilledWriteLeavesIsClearedByTheNext(_ isFlushed: Bool) async throws {
        let folder = NSTemporaryDirectory() + "needletail-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/file"
        try AtomicFile.write(Array("old".utf8), to: path)
        for _ in 0..<3 {
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = path as String, isFlushed] in
                try AtomicFile.write(to: path, isFlushed: isFlushed) { write in
                    try write(Array("a part".utf8))
                    kill(getpid(), SIGKILL)
                }
            }
            #expect(content(path) == "old" && names(folder).count == 2)  // what the one before has left is cleared
        }
        try AtomicFile.write(Array("new".utf8), to: path, isFlushed: isFlushed)
        #expect(content(path) == "new" && names(folder) == ["file"])
    }

    /// Files of other destinations, of users, and of writers that live are left alone.
    @Test func nothingElseIsCleared() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/a"
            let digits = String(repeating: "0", count: 13)
            let others = [
                ".a.tmp", "a.tmp", ".a.1.tmp", ".a.1.x.tmp", ".a.b.1.\(digits).tmp", ".b.1.\(digits).tmp",
                ".a.x.\(digits).tmp", ".a.1.\(digits)", ".a.1.\(digits).tmp.tmp", ".a.1.00000000000-0.tmp",
            ]
            for name in others { try Data("user's".utf8).write(to: URL(fileURLWithPath: folder + "/" + name)) }
            let (subfolder, link) = (".a.1.0000000000001.tmp", ".a.1.0000000000002.tmp")
            #expect(mkdir(folder + "/" + subfolder, 0o700) == 0)
            #expect(symlink(folder + "/b", folder + "/" + link) == 0)
            let left = folder + "/.a.1.\(digits).tmp"
            try Data("left".utf8).write(to: URL(fileURLWithPath: left))

            // Two writers to one place at a time: the file of the one that began first stays until it ends.
            try AtomicFile.write(to: path) { write in
                try write([1])
                try AtomicFile.write([2], to: path)
                #expect(content(path) == "\u{2}" && names(folder).count == others.count + 4)
                try write([3])
            }
            #expect(content(path) == "\u{1}\u{3}")
            #expect(names(folder) == (others + [subfolder, link, "a"]).sorted())
        }
    }

    @Test func aMissingFolderIsNamed() {
        let error = #expect(throws: AtomicFileError.self) { try AtomicFile.write([1], to: "/nowhere/at/all") }
        #expect(error?.systemError == ENOENT && error?.description.contains("'/nowhere/at/all'") == true)
    }

    @Test func relativeAndLongNamesWork() throws {
        try withTemporaryFolder { folder in
            let long = folder + "/" + String(repeating: "é", count: 127)
            try AtomicFile.write([1, 2], to: long)
            #expect(try Data(contentsOf: URL(fileURLWithPath: long)) == Data([1, 2]))
            #expect(TemporaryFile.path(beside: "name").hasPrefix("./.name."))
            #expect(TemporaryFile.path(beside: "/name").hasPrefix("/.name."))
            #expect(TemporaryFile.path(beside: "a/b/").hasPrefix("a/.b."))
            #expect(TemporaryFile.path(beside: "a/b") != TemporaryFile.path(beside: "a/b"))
        }
    }
}

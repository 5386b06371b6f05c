// Every name that the system knows is taken as it is.
import Foundation
import NeedletailFiles
import Testing

/// Names of files that programs stumble over.
let oddNames: [FilePath] = [
    "m", "~", "~x", "-x", " ", "a b", "a\nb", "\r\n", "'", "\"", "$HOME", "*", "%41", "\u{301}", "e\u{301}", "é",
    "é.csv",
    ".x", "..x", "...", "x.", "file:x", "a\\b", FilePath(bytes: [0xFF]), FilePath(bytes: [0xFF, 0xFE]),
    FilePath(bytes: [0xC3]), FilePath(bytes: Array("\u{10FF80}".utf8)), FilePath(bytes: [0x01]),
    FilePath(bytes: [UInt8](repeating: 0x78, count: 255)), FilePath(bytes: [UInt8](repeating: 0xFE, count: 255)),
]

@Suite struct FileSystemTests {
    private func names(_ folder: FilePath) throws -> Set<FilePath> { Set(try FileSystem.names(in: folder)) }

    /// A whole file is written, read and renamed under each name, and the folder then holds no other.
    @Test(arguments: oddNames) func aFileHasExactlyItsName(_ name: FilePath) throws {
        try withTemporaryFolder { folder in
            let folder = FilePath(folder), path = folder.appending(name)
            try AtomicFile.write(Array("old".utf8), to: path.text)
            try AtomicFile.write(Array("new".utf8), to: path.text)
            #expect(try names(folder) == [name])
            #expect(try RegularFile.bytes(of: path, limit: 100) == Array("new".utf8))
            #expect(FileSystem.kind(path) == .regular && FileSystem.exists(path) && !FileSystem.isFolder(path))
            let other = folder.appending("other")
            try FileSystem.rename(path, to: other)
            #expect(try names(folder) == ["other"])
            try FileSystem.rename(other, to: path)
            try FileSystem.removeFile(path)
            #expect(try names(folder).isEmpty)
            try AtomicFile.create(path.text, [1])
            #expect(throws: AtomicFileError.self) { try AtomicFile.create(path.text, [1]) }
            #expect(try names(folder) == [name])
        }
    }

    /// The same for folders within folders, with slashes more than needed.
    @Test(arguments: oddNames) func aFolderHasExactlyItsName(_ name: FilePath) throws {
        try withTemporaryFolder { folder in
            let folder = FilePath(folder), path = folder.appending(name)
            let deep = FilePath(bytes: path.bytes + Array("//".utf8) + name.bytes + Array("/".utf8))
            try FileSystem.makeFolders(deep)
            try FileSystem.makeFolders(deep)
            #expect(try names(folder) == [name] && names(path) == [name] && FileSystem.isFolder(deep))
            #expect(try FileSystem.resolved(deep) == FileSystem.resolved(folder).appending(name).appending(name))
            #expect(throws: FileError.self) { try FileSystem.makeFolder(path) }
            try AtomicFile.write([1], to: deep.appending("file").text)
            symlink(folder.text, path.appending("link").text)
            try FileSystem.removeTree(path)
            #expect(try names(folder).isEmpty)  // the link's target was not gone through
        }
    }

    @Test func whatIsInTheWayIsNamed() throws {
        try withTemporaryFolder { folder in
            let file = FilePath(folder + "/file")
            try AtomicFile.write([1], to: file.text)
            let error = #expect(throws: FileError.self) { try FileSystem.makeFolders(file.appending("a/b")) }
            #expect(error?.systemError == ENOTDIR && error?.reason == "Not a directory")
            #expect(throws: FileError.self) { try FileSystem.makeFolders(file) }
            #expect(throws: FileError.self) { try FileSystem.removeTree(FilePath(folder + "/nothing")) }
        }
    }

    /// Pipes and folders are refused, not waited for; files of /proc, which have no size, are read to their end.
    @Test func onlyRegularFilesAreRead() throws {
        try withTemporaryFolder { folder in
            let pipe = FilePath(folder + "/pipe")
            #expect(mkfifo(pipe.text, 0o600) == 0)
            for path in [pipe, FilePath(folder), "/dev/null"] {
                let error = #expect(throws: FileError.self) { try RegularFile.bytes(of: path, limit: 10) }
                #expect(error?.reason == RegularFile.expectation)
            }
            let missing = #expect(throws: FileError.self) { try RegularFile("nowhere/x") }
            #expect(missing?.isMissing == true)
            #expect(RegularFile.text(of: "/proc/self/status")?.contains("VmRSS") == true)
        }
    }

    @Test(arguments: [0, 1, 5, 70_000]) func aLimitIsKept(_ count: Int) throws {
        try withTemporaryFolder { folder in
            let path = FilePath(folder + "/file"), bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            try AtomicFile.write(bytes, to: path.text)
            #expect(try RegularFile.bytes(of: path, limit: .max - 1) == bytes)
            #expect(try RegularFile.bytes(of: path, limit: count) == bytes)
            #expect(try RegularFile.bytes(of: path, limit: 1).count == min(count, 2))
            #expect(try RegularFile(path).bytes(10, at: count) == [])
        }
    }
}

// prepareData against a server on loopback that tells the truth, or does not: the files are right and complete, or
// unchanged.
import CZlib
import Foundation
import NeedletailData
import Synchronization
import Testing

private let contents: [String: [UInt8]] = [
    "train-images-idx3-ubyte": IDXFixture.bytes([300, 4, 4], (0..<4800).map { UInt8(truncatingIfNeeded: $0 &* 37) }),
    "train-labels-idx1-ubyte": IDXFixture.bytes([300], (0..<300).map { UInt8($0 % 10) }),
    "t10k-images-idx3-ubyte": IDXFixture.bytes([2, 4, 4], [UInt8](repeating: 7, count: 32)),
    "t10k-labels-idx1-ubyte": IDXFixture.bytes([2], [3, 9]),
]

private let published = PublishedFiles(
    contents.sorted { $0.key > $1.key }.map {
        PublishedFiles.File(
            name: $0.key, size: $0.value.count, crc32: UInt32(crc32(0, $0.value, UInt32($0.value.count))))
    })

private let allNames = contents.keys.map { $0 + ".gz" }.sorted()

/// The honest answer to a path.
private func honest(_ path: String) -> LoopbackServer.Answer {
    let name = path.split(separator: "/").last.map { $0.replacingOccurrences(of: ".gz", with: "") } ?? ""
    return contents[name].map { .body(GzipFixture.member($0)) } ?? .status(404)
}

@Suite struct PublishedFilesTests {
    @Test func downloadsWhatIsMissing() throws {
        let server = try LoopbackServer { honest($0) }
        let folder = try TemporaryFolder()
        let directory = folder.path + "/new/mnist"
        let steps = Mutex<[DownloadProgress]>([])
        try published.prepare(directory: directory, baseURL: server.address + "/mnist") { step in
            steps.withLock { $0.append(step) }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == allNames)
        #expect(server.requests.sorted() == allNames.map { "/mnist/" + $0 })
        let (train, test) = try ImageFolder.find(in: directory).load()
        #expect(train.count == 300 && test.labelValues == [3, 9])
        for name in allNames {
            let received = steps.withLock { $0.filter { $0.file == name } }
            #expect(received.map(\.received) == received.map(\.received).sorted() && !received.isEmpty)
            #expect(received.last?.received == received.last?.expected)
        }
        // Again: everything is there. Without one file: that one only.
        try published.prepare(directory: directory, baseURL: server.address + "/mnist")
        #expect(server.requests.count == 4)
        try FileManager.default.removeItem(atPath: "\(directory)/t10k-labels-idx1-ubyte.gz")
        try published.prepare(directory: directory, baseURL: server.address + "/mnist/")
        #expect(server.requests.count == 5 && server.requests.last == "/mnist/t10k-labels-idx1-ubyte.gz")
    }

    @Test func otherCompressionsAreAccepted() throws {
        let server = try LoopbackServer { path in
            guard case .body(let zipped) = honest(path) else { return .status(404) }
            let plain = contents[String(path.dropFirst().dropLast(3))] ?? []
            if path.contains("images") { return .body(plain) }
            return .unannounced(path.contains("t10k") ? GzipFixture.member(plain, fileName: "x") : zipped)
        }
        let folder = try TemporaryFolder()
        try published.prepare(directory: folder.path, baseURL: server.address)
        #expect(try ImageFolder.find(in: folder.path).load().train.count == 300)
    }

    /// Every way in which the first file can go wrong: a clear error, and an empty folder.
    @Test func failuresLeaveNothing() throws {
        let name = "train-labels-idx1-ubyte"
        let content = try #require(contents[name])
        let zipped = GzipFixture.member(content)
        var otherContent = content
        otherContent[100] ^= 1
        var damaged = zipped
        damaged[zipped.count / 2] ^= 0x10
        let cases: [(String, LoopbackServer.Answer, DataFileError.Problem, String)] = [
            ("404", .status(404), .download, "HTTP status 404"),
            ("500", .status(500), .download, "HTTP status 500"),
            ("breaks off", .truncated(Array(zipped.dropLast(20)), announced: zipped.count), .download, "bytes"),
            ("ends early, unannounced", .unannounced(Array(zipped.dropLast(20))), .truncated, "inside gzip data"),
            ("empty", .body([]), .checksum, "0 bytes of content"),
            ("an error page", .body(Array("<html>sorry</html>".utf8)), .checksum, "18 bytes of content"),
            ("damaged", .body(damaged), .gzip, "gzip data with the fault"),
            ("other content", .body(GzipFixture.member(otherContent)), .checksum, "content with CRC-32"),
            ("other plain content", .body(otherContent), .checksum, "content with CRC-32"),
            ("more content", .body(GzipFixture.member(content + [0])), .checksum, "more than 308 bytes"),
            (
                "a bomb", .body(GzipFixture.member([UInt8](repeating: 0, count: 1 << 20))), .checksum,
                "more than 308 bytes"
            ),
            ("too much", .body([UInt8](repeating: 1, count: 1 << 20)), .download, "more than 4404 bytes"),
            ("too much, unannounced", .unannounced([UInt8](repeating: 1, count: 1 << 20)), .download, "more than 4404"),
        ]
        let only = PublishedFiles(published.files.filter { $0.name == name })
        for (title, answer, problem, found) in cases {
            let server = try LoopbackServer { _ in answer }
            let folder = try TemporaryFolder()
            #expect {
                try only.prepare(directory: folder.path, baseURL: server.address)
            } throws: { error in
                guard let error = error as? DataFileError else { return false }
                #expect(error.problem == problem && error.found.contains(found), "\(title): \(error)")
                return error.file == "\(server.address)/\(name).gz"
            }
            #expect(folder.names == [], "\(title) left \(folder.names)")
        }
    }

    @Test func nobodyAnswers() throws {
        let folder = try TemporaryFolder()
        for address in ["http://127.0.0.1:9", "nonsense", "file:///etc"] {
            #expect {
                try published.prepare(directory: folder.path, baseURL: address)
            } throws: { ($0 as? DataFileError)?.problem == .download }
        }
        #expect(folder.names == [])
        let blocked = try folder.write("file", [1])
        #expect {
            try published.prepare(directory: blocked + "/below", baseURL: "http://127.0.0.1:9")
        } throws: { ($0 as? DataFileError)?.problem == .unreadable }
    }

    /// A damaged file at hand is replaced only by a good one.
    @Test func damagedFilesAreReplaced() throws {
        let folder = try TemporaryFolder()
        try folder.write("t10k-labels-idx1-ubyte.gz", [1, 2, 3])
        let absent = try LoopbackServer { _ in .status(404) }
        #expect(throws: DataFileError.self) { try published.prepare(directory: folder.path, baseURL: absent.address) }
        #expect(folder.content("t10k-labels-idx1-ubyte.gz") == [1, 2, 3])
        let server = try LoopbackServer { honest($0) }
        try published.prepare(directory: folder.path, baseURL: server.address)
        #expect(folder.names == allNames)
        #expect(
            folder.content("t10k-labels-idx1-ubyte.gz") == GzipFixture.member(contents["t10k-labels-idx1-ubyte"] ?? []))
    }
}

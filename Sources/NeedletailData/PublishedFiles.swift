// The published files of a data set: their sizes and checksums, and how they come into a folder.
import Foundation
import NeedletailFiles
import NeedletailTensor

/// A step of a download, for a progress display.
public struct DownloadProgress: Sendable {
    /// The name of the file.
    public let file: String
    /// The bytes received so far.
    public let received: Int
    /// The bytes that the server has announced, where it has.
    public let expected: Int?
}

/// The four files of a data set as they were published.
///
/// The checksum is the CRC-32 of the uncompressed content, together with its exact size: it tells a damaged or wrong
/// file, and so does not depend on how a mirror compressed it. It is no defence against someone who forges a file;
/// docs/decisions/0002-checksums.md says why there is no cryptographic hash.
package struct PublishedFiles: Sendable {
    /// One file.
    package struct File: Sendable {
        package let name: String
        package let size: Int
        package let crc32: UInt32

        package init(name: String, size: Int, crc32: UInt32) {
            self.name = name
            self.size = size
            self.crc32 = crc32
        }
    }

    package let files: [File]

    package init(_ files: [File]) { self.files = files }

    /// The files in the order of `ImageFolder.fileNames`.
    init(sizesAndChecksums: [(size: Int, crc32: UInt32)]) {
        files = zip(ImageFolder.fileNames, sizesAndChecksums).map { File(name: $0, size: $1.size, crc32: $1.crc32) }
    }

    /// Downloads to `directory`, from `baseURL`, those files that are not there or are not the published ones.
    ///
    /// A file is written under a temporary name in the same folder, checked, and renamed; whatever fails, no other file
    /// changes and nothing half-written is left, or by a killed process only until the next download. Throws `DataFileError`.
    package func prepare(
        directory: String, baseURL: String, progress: (@Sendable (DownloadProgress) -> Void)? = nil
    ) throws {
        do {
            try FileSystem.makeFolders(FilePath(directory))
        } catch let error as FileError {
            throw DataFileError(.unreadable, file: directory, found: error.reason, expected: "a folder to write to")
        }
        for file in files {
            if let path = ImageFolder.path(of: file.name, in: directory),
                (try? check(file, at: path, name: path)) != nil
            {
                continue
            }
            try download(file, to: directory, from: baseURL, progress)
        }
    }

    private func download(
        _ file: File, to directory: String, from baseURL: String, _ progress: (@Sendable (DownloadProgress) -> Void)?
    ) throws {
        let name = file.name + ".gz"
        let address = (baseURL.hasSuffix("/") ? baseURL : baseURL + "/") + name
        guard let url = URL(string: address), ["http", "https"].contains(url.scheme) else {
            throw DataFileError(
                .download, file: address, found: "no address of the web", expected: "one that starts with http(s)://")
        }
        let path = "\(directory)/\(name)"
        let temporary: TemporaryFile
        do { temporary = try TemporaryFile(beside: path) } catch { throw Self.error(error, at: directory) }
        defer { temporary.remove() }
        // gzip adds less than 0.1% to data that it cannot compress; a server that sends more sends something else.
        try Download.fetch(url, into: temporary.descriptor, limit: file.size + file.size / 1000 + 4096) {
            progress?(DownloadProgress(file: name, received: $0, expected: $1))
        }
        try check(file, at: temporary.path, name: address)
        do { try temporary.rename(to: path) } catch { throw Self.error(error, at: path) }
    }

    private static func error(_ error: any Error, at path: String) -> any Error {
        guard let failure = error as? TemporaryFile.Failure else { return error }
        return DataFileError(
            .unreadable, file: path, found: String(cString: strerror(failure.systemError)).lowercased(),
            expected: "a place to write to")
    }

    /// Compares size and checksum of the content at `path`; `name` stands in the error.
    private func check(_ file: File, at path: String, name: String) throws {
        let stream = try ByteStream(path: path)
        let content: (count: Int, crc32: UInt32)
        do {
            content = try stream.checksum(limit: file.size + 1)
        } catch let error as DataFileError {
            throw DataFileError(
                error.problem, file: name, offset: error.offset, found: error.found, expected: error.expected,
                advice: "try again, or take another mirror")
        }
        guard content.count == file.size else {
            let found = content.count > file.size ? "more than \(file.size)" : "\(content.count)"
            throw DataFileError(
                .checksum, file: name, found: "\(found) bytes of content", expected: "\(file.size)",
                advice: "try again, or take another mirror")
        }
        guard content.crc32 == file.crc32 else {
            throw DataFileError(
                .checksum, file: name, found: "content with CRC-32 \(hex(content.crc32))",
                expected: hex(file.crc32), advice: "try again, or take another mirror")
        }
    }

    private func hex(_ value: UInt32) -> String { String(format: "%08x", value) }
}

// The one error of data files: what is wrong, where, and what to do.
import NeedletailFiles

/// A data file (or its download) is not what it should be.
///
/// The description reads `FILE, byte OFFSET: found FOUND, expected EXPECTED (ADVICE)`.
public struct DataFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Problem: String, Sendable {
        /// The file is not there, or cannot be opened or read.
        case unreadable
        /// The file does not start as an IDX file does.
        case magic
        /// The element type is not one of IDX's six, or not the one needed here.
        case elementType
        /// The number of dimensions is 0, or not the one needed here.
        case rank
        /// The header claims more bytes than the machine can count, or than the file can hold.
        case size
        /// The file ends too early.
        case truncated
        /// Bytes follow the end of the data.
        case trailing
        /// The gzip data contradict themselves: header, codes, checksum or length.
        case gzip
        /// The content contradicts itself or the format, other than in one of the ways above.
        case content
        /// The bytes are not the published ones: their number or their checksum differs.
        case checksum
        /// The numbers of images and labels, or the shapes of images, differ.
        case count
        /// A label is not one of the classes.
        case label
        /// The server did not deliver the file.
        case download
    }

    /// What is wrong.
    public let problem: Problem
    /// The file's path, or the address for a download.
    public let file: String
    /// The byte at which it shows, in the uncompressed content, or for `.gzip` in the file; nil where no byte is to
    /// blame.
    public let offset: Int?
    /// What stands there.
    public let found: String
    /// What should stand there.
    public let expected: String
    /// What to do about it.
    public let advice: String?

    package init(
        _ problem: Problem, file: String, offset: Int? = nil, found: String, expected: String, advice: String? = nil
    ) {
        self.problem = problem
        self.file = file
        self.offset = offset
        self.found = found
        self.expected = expected
        self.advice = advice
    }

    /// File, offset, found, expected and advice in one line.
    public var description: String {
        let place = offset.map { ", byte \($0)" } ?? ""
        let hint = advice.map { " (\($0))" } ?? ""
        return "\(FilePath(file))\(place): found \(found), expected \(expected)\(hint)"
    }
}

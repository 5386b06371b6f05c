// The header of a safetensors file: its text, and the checks that entries and data fit each other exactly.
// The grammar has three levels and no recursion, so that deeply nested JSON ends at the first bracket that is not
// expected.
import NeedletailTensor

/// A header that has passed every check; entries are in the order of their data.
struct SafeTensorsHeader {
    typealias Entry = SafeTensorsFile.Entry
    typealias Problem = SafeTensorsError.Problem
    static let metadataKey = "__metadata__"

    private(set) var entries: [Entry] = []
    private(set) var metadata: [String: String] = [:]

    /// Parses and checks a header whose tensors must fill `dataByteCount` bytes exactly; throws
    /// `SafeTensorsError.Problem`.
    init(parsing text: [UInt8], dataByteCount: Int) throws {
        var scanner = JSONScanner(text)
        var names: Set<String> = []
        var nameByteCount = 0
        // No white space before the first brace: foreign files are told apart by their first byte.
        try scanner.object(allowingSpaceBefore: false) { name, scanner in
            try Self.check(name, &nameByteCount)
            guard names.insert(name).inserted else { throw Problem.duplicateKey(name) }
            if name == Self.metadataKey {
                try parseMetadata(&scanner, &nameByteCount)
            } else {
                guard entries.count < SafeTensorsFile.maximumEntryCount else {
                    throw Problem.tooLarge(what: "tensors", limit: SafeTensorsFile.maximumEntryCount)
                }
                entries.append(try Self.parseEntry(name, &scanner))
            }
        }
        try scanner.end()
        try arrange(dataByteCount)
    }

    /// Bounds what comparing and hashing names costs.
    private static func check(_ name: String, _ totalByteCount: inout Int) throws {
        totalByteCount += name.utf8.count
        guard totalByteCount <= SafeTensorsFile.maximumNameByteCount else {
            throw Problem.tooLarge(what: "bytes of names", limit: SafeTensorsFile.maximumNameByteCount)
        }
        try checkMarks(of: name)
    }

    /// Swift compares and hashes strings in their normalised form, whose making takes a time quadratic in the number of
    /// combining marks in a row. Unicode's stream-safe text has at most 30 (UAX 15).
    static func checkMarks(of text: String) throws {
        var marks = 0
        for scalar in text.unicodeScalars {
            marks = scalar.isASCII || scalar.properties.canonicalCombiningClass == .notReordered ? 0 : marks + 1
            guard marks <= 30 else { throw Problem.tooLarge(what: "combining marks in a row in a name", limit: 30) }
        }
    }

    private mutating func parseMetadata(_ scanner: inout JSONScanner, _ nameByteCount: inout Int) throws {
        try scanner.object { key, scanner in
            guard metadata.count < SafeTensorsFile.maximumEntryCount else {
                throw Problem.tooLarge(what: "metadata entries", limit: SafeTensorsFile.maximumEntryCount)
            }
            try Self.check(key, &nameByteCount)
            let value = try scanner.string(as: "a string, as all metadata is")
            guard metadata.updateValue(value, forKey: key) == nil else { throw Problem.duplicateKey(key) }
        }
    }

    private static func parseEntry(_ name: String, _ scanner: inout JSONScanner) throws -> Entry {
        var typeName: String?
        var shape: [Int]?
        var offsets: [Int]?
        var ignored = 0
        try scanner.object { field, scanner in
            try check(field, &ignored)
            switch field {
            case "dtype":
                guard typeName == nil else { throw Problem.duplicateKey(field) }
                typeName = try scanner.string(as: "a type's name")
            case "shape":
                guard shape == nil else { throw Problem.duplicateKey(field) }
                shape = try scanner.integers(atMost: SafeTensorsFile.maximumRank, what: "axes")
            case "data_offsets":
                guard offsets == nil else { throw Problem.duplicateKey(field) }
                offsets = try scanner.integers(atMost: 2, what: "data_offsets")
            default:
                throw scanner.unexpected("the key '\(field)'", expected: "dtype, shape or data_offsets")
            }
        }
        guard let typeName else { throw Problem.missingField(tensor: name, field: "dtype") }
        guard let shape else { throw Problem.missingField(tensor: name, field: "shape") }
        guard let offsets, offsets.count == 2 else { throw Problem.missingField(tensor: name, field: "data_offsets") }
        guard let type = SafeTensorsFile.ElementType(named: typeName) else {
            throw Problem.unknownType(tensor: name, found: typeName)
        }
        guard offsets[0] <= offsets[1] else {
            throw Problem.reversedOffsets(tensor: name, begin: offsets[0], end: offsets[1])
        }
        let byteCount = try byteCount(of: name, type, shape)
        guard byteCount == offsets[1] - offsets[0] else {
            throw Problem.sizeMismatch(tensor: name, found: offsets[1] - offsets[0], expected: byteCount)
        }
        return Entry(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
    }

    /// Bytes of a tensor; throws where the product of the sizes other than zero wraps, since strides would wrap too, and where
    /// packed elements leave a part of a byte.
    private static func byteCount(of name: String, _ type: SafeTensorsFile.ElementType, _ shape: [Int]) throws -> Int {
        let isPacked = type.bitCount < 8
        var product = isPacked ? type.bitCount : type.bitCount / 8
        for size in shape where size != 0 {
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            guard !overflow else { throw Problem.shapeOverflow(tensor: name, shape: shape) }
            product = next
        }
        guard !shape.contains(0) else { return 0 }
        guard isPacked else { return product }
        guard product % 8 == 0 else {
            throw Problem.partOfByte(tensor: name, type: type, shape: shape)
        }
        return product / 8
    }

    /// Sorts entries by their data and checks that they fill it without overlap, hole or rest.
    private mutating func arrange(_ dataByteCount: Int) throws {
        entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
        var end = 0
        for entry in entries {
            guard entry.range.lowerBound == end else {
                throw Problem.notContiguous(tensor: entry.name, begin: entry.range.lowerBound, expected: end)
            }
            end = entry.range.upperBound
        }
        guard end == dataByteCount else { throw Problem.wrongFileSize(found: dataByteCount, expected: end) }
    }

    /// The header's text for tensors in the order of their data, not padded.
    static func encode(
        _ tensors: [(name: String, dtype: DType, shape: [Int])], _ metadata: [String: String]
    ) throws -> [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "{")]
        var nameByteCount = 0
        var names: Set<String> = []
        func separate() { if text.count > 1 && text.last != UInt8(ascii: "{") { text.append(UInt8(ascii: ",")) } }
        guard tensors.count <= SafeTensorsFile.maximumEntryCount, metadata.count <= SafeTensorsFile.maximumEntryCount
        else {
            throw SafeTensorsError(
                file: nil,
                problem: .tooLarge(what: "tensors or metadata entries", limit: SafeTensorsFile.maximumEntryCount))
        }
        do {
            if !metadata.isEmpty {
                text += Array("\"\(metadataKey)\":{".utf8)
                for (key, value) in metadata.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                    try check(key, &nameByteCount)
                    separate()
                    text += JSONScanner.quoted(key) + [UInt8(ascii: ":")] + JSONScanner.quoted(value)
                }
                text.append(UInt8(ascii: "}"))
            }
            var offset = 0
            for (name, dtype, shape) in tensors {
                try check(name, &nameByteCount)
                guard name != metadataKey else { throw Problem.reservedName }
                guard names.insert(name).inserted else { throw Problem.duplicateName(name) }
                guard shape.count <= SafeTensorsFile.maximumRank else {
                    throw Problem.tooLarge(what: "axes", limit: SafeTensorsFile.maximumRank)
                }
                let type = dtype.safeTensorsType
                let byteCount = try byteCount(of: name, type, shape)
                separate()
                let sizes = shape.map(String.init).joined(separator: ",")
                let fields =
                    ":{\"dtype\":\"\(type.rawValue)\",\"shape\":[\(sizes)],"
                    + "\"data_offsets\":[\(offset),\(offset + byteCount)]}"
                text += JSONScanner.quoted(name) + Array(fields.utf8)
                offset += byteCount
            }
        } catch let problem as Problem {
            throw SafeTensorsError(file: nil, problem: problem)
        }
        text.append(UInt8(ascii: "}"))
        return text
    }
}

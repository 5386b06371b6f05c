// safetensors files that lie: one of each kind. The full lists, and the longest headers, are in NeedletailNNTests.
import Needletail

extension MalformedFile {
    private static func file(_ header: [UInt8], _ dataByteCount: Int = 0) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header
            + [UInt8](repeating: 0, count: dataByteCount)
    }

    /// A header of F32 tensors, by name, shape and offsets.
    private static func header(_ tensors: [(String, String, String)]) -> [UInt8] {
        let entries = tensors.map { #""\#($0.0)":{"dtype":"F32","shape":\#($0.1),"data_offsets":\#($0.2)}"# }
        return Array("{\(entries.joined(separator: ","))}".utf8)
    }

    static let safetensors: [MalformedFile] = [
        ("a header of 2^60 bytes", [0, 0, 0, 0, 0, 0, 0, 0x10] + Array("{}".utf8), "1152921504606846976"),
        ("a header of 2^64 - 1 bytes", [UInt8](repeating: 0xFF, count: 8) + Array("{}".utf8), "18446744073709551615"),
        ("a header beyond the file", [9, 0, 0, 0, 0, 0, 0, 0] + Array("{}".utf8), "at most the 2 that follow"),
        (
            "a tensor of 2^60 bytes", file(header([("a", "[288230376151711744]", "[0,1152921504606846976]")])),
            "truncated"
        ),
        (
            "a tensor of 2^63 bytes", file(header([("a", "[2305843009213693952]", "[0,9223372036854775808]")])),
            "2^63 - 1"
        ),
        ("a shape that wraps to 0", file(header([("a", "[4611686018427387904,4]", "[0,0]")])), "64 bits"),
        ("a shape that wraps beside a zero", file(header([("a", "[0,9223372036854775807,3]", "[0,0]")])), "64 bits"),
        ("overlapping tensors", file(header([("a", "[2]", "[0,8]"), ("b", "[2]", "[4,12]")]), 12), "overlap"),
        ("tensors at one place", file(header([("a", "[2]", "[0,8]"), ("b", "[2]", "[0,8]")]), 8), "overlap"),
        ("a hole", file(header([("a", "[2]", "[0,8]"), ("b", "[2]", "[12,20]")]), 20), "hole"),
        ("missing offsets", file(Array(#"{"a":{"dtype":"F32","shape":[2]}}"#.utf8), 8), "data_offsets"),
        ("one offset", file(header([("a", "[2]", "[0]")]), 8), "data_offsets"),
        ("offsets backwards", file(header([("a", "[2]", "[8,0]")]), 8), "begin"),
        ("another size than the shape's", file(header([("a", "[3]", "[0,8]")]), 8), "12"),
        ("a name twice", file(header([("a", "[2]", "[0,8]"), ("a", "[2]", "[8,16]")]), 16), "twice"),
        (
            "a name twice, once escaped", file(header([("a", "[2]", "[0,8]"), ("\\u0061", "[2]", "[8,16]")]), 16),
            "twice"
        ),
        ("a negative size", file(header([("a", "[-1]", "[0,4]")]), 4), "an integer"),
        ("a size with a fraction", file(header([("a", "[1.5]", "[0,4]")]), 4), "',' or ']'"),
        ("a size of 1e999", file(header([("a", "[1e999]", "[0,4]")]), 4), "',' or ']'"),
        ("NaN as a size", file(header([("a", "[NaN]", "[0,4]")]), 4), "an integer"),
        ("an unknown type", file(Array(#"{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}}"#.utf8), 1), "F8"),
        ("text that is not UTF-8", file([0x7B, 0x22, 0xFF, 0x22] + Array(":{}}".utf8)), "UTF-8"),
        ("100,000 arrays in one another", file(Array(String(repeating: "[", count: 100_000).utf8)), "'{'"),
        (
            "100,000 objects in one another", file(Array(String(repeating: "{\"a\":", count: 100_000).utf8)),
            "dtype, shape or data_offsets"
        ),
        ("truncated data", file(header([("a", "[2]", "[0,8]")]), 7), "truncated"),
        ("bytes to spare", file(header([("a", "[2]", "[0,8]")]), 9), "bytes after the last tensor"),
    ].map { name, bytes, says in MalformedFile(reader: .safetensors, name: name, bytes: { bytes }, says: says) }
}

// Malformed files: every refusal, truncation at every byte, and hostile headers within bounds of time and memory.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct SafeTensorsRefusalTests {
    typealias Problem = SafeTensorsError.Problem

    /// A file with the given header text and `dataByteCount` zero bytes of data.
    private static func file(_ header: [UInt8], _ dataByteCount: Int = 0) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header
            + [UInt8](repeating: 0, count: dataByteCount)
    }

    private static func file(_ header: String, _ dataByteCount: Int = 0) -> [UInt8] {
        file(Array(header.utf8), dataByteCount)
    }

    private func problem(_ bytes: [UInt8]) -> Problem? {
        #expect(throws: SafeTensorsError.self) { try SafeTensorsFile.decode(bytes) }?.problem
    }

    /// A header of one F32 tensor "a" with other fields.
    private func one(_ dtype: String = "\"F32\"", _ shape: String = "[2]", _ offsets: String = "[0,8]") -> String {
        "{\"a\":{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
    }

    private func two(_ first: String, _ second: String, name: String = "b") -> String {
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":\(first)},"
            + "\"\(name)\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":\(second)}}"
    }

    @Test func theUnchangedHeadersAreAccepted() throws {
        #expect(try SafeTensorsFile.decode(Self.file(one(), 8)).tensors["a"]?.shape == [2])
        #expect(try SafeTensorsFile.decode(Self.file(two("[4,8]", "[0,4]"), 8)).tensors.count == 2)
        #expect(try SafeTensorsFile.decode(Self.file(" { } ".trimmingPrefix(" ") + " \n\t")).tensors.isEmpty)
        let spaced = "{ \"a\" : { \"shape\" : [ 2 ] , \"data_offsets\" : [ 0 , 8 ] , \"dtype\" : \"F\\u00332\" } }"
        #expect(try SafeTensorsFile.decode(Self.file(spaced, 8)).tensors["a"]?.dtype == .float32)
        let escaped = one().replacing("\"a\"", with: #""\ud83d\ude00\"\\\/\b\f\n\r\t\u00e9""#)
        #expect(try SafeTensorsFile.decode(Self.file(escaped, 8)).tensors["😀\"\\/\u{8}\u{c}\n\r\té"] != nil)
    }

    @Test func sizesOfTheHeader() {
        #expect(problem([]) == .tooShort(byteCount: 0))
        #expect(problem([1, 0, 0, 0, 0, 0, 0]) == .tooShort(byteCount: 7))
        #expect(problem([3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D]) == .headerBeyondFile(byteCount: 3, available: 2))
        let limit = SafeTensorsFile.maximumHeaderByteCount
        for count in [UInt64(limit) + 1, 1 << 32, 1 << 63, .max] {
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * UInt64($0))) } + Array("{}".utf8)
            #expect(problem(bytes) == .headerTooLarge(byteCount: count))
        }
    }

    @Test(arguments: [
        "", " {}", "[]", "null", "\u{FEFF}{}", "{", "{]", "{}}", "{} x", "{\"a\"}", "{\"a\":}", "{\"a\":1}",
        "{\"a\":null}",
        "{\"a\":[]}", "{\"a\":\"b\"}", "{,}", "{\"__metadata__\":{},}", "{a:{}}", "{'a':{}}", "{\"a\" {}}",
        "{\"a\":{\"dtype\":1}}",
        "{\"a\":{\"dtype\":\"F32\" \"shape\":[]}}", "{\"a\":{\"shape\":{}}}", "{\"a\":{\"shape\":[1,]}}",
        "{\"a\":{\"shape\":[-1]}}", "{\"a\":{\"shape\":[1.0]}}", "{\"a\":{\"shape\":[1e3]}}",
        "{\"a\":{\"shape\":[01]}}",
        "{\"a\":{\"shape\":[+1]}}", "{\"a\":{\"shape\":[\"1\"]}}", "{\"a\":{\"shape\":[[1]]}}",
        "{\"a\":{\"shape\":[null]}}",
        "{\"a\":{\"shape\":[9223372036854775808]}}", "{\"a\":{\"shape\":[99999999999999999999]}}",
        "{\"a\":{\"shape\":[1 2]}}", "{\"a\":{\"strides\":[1]}}", "{\"a", "{\"a\\", "{\"\\q\":{}}", "{\"\\u12g4\":{}}",
        "{\"\\u12\":{}}", "{\"\\ud800\":{}}", "{\"\\udc00\":{}}", "{\"\\ud800\\u0041\":{}}", "{\"a\nb\":{}}",
        "{\"a\u{0}b\":{}}", "{\"__metadata__\":null}", "{\"__metadata__\":[]}", "{\"__metadata__\":\"x\"}",
        "{\"__metadata__\":{\"a\":1}}", "{\"__metadata__\":{\"a\":null}}", "{\"__metadata__\":{\"a\":[\"b\"]}}",
        "{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}",
    ])
    func brokenGrammar(_ header: String) {
        guard case .malformedHeader = problem(Self.file(header)) else {
            Issue.record("\(header): \(problem(Self.file(header)) as Any)")
            return
        }
    }

    @Test func longTextWithEscapesIsReadInPieces() throws {
        // Pieces end at scalars, wherever those lie around the 65,536 bytes of a piece.
        for lead in 0..<5 {
            let text = String(repeating: "x", count: 65_530 + lead) + String(repeating: "\n€😀é", count: 20_000)
            let bytes = try SafeTensorsFile.encode(tensors: [], metadata: ["k": text])
            #expect(try SafeTensorsFile.decode(bytes).metadata["k"] == text)
            let wrong = Array("{\"__metadata__\":{\"k\":\"\\n".utf8) + [UInt8](repeating: 0x80, count: 200_000 + lead)
            #expect(problem(Self.file(wrong + Array("\"}}".utf8))) == .notUTF8(offset: 22))
        }
    }

    @Test func textThatIsNotUTF8() {
        let sequences: [[UInt8]] = [
            [0xFF], [0x80], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82],
        ]
        for bytes in sequences {
            #expect(problem(Self.file([0x7B, 0x22, 0x61] + bytes + Array("\":{}}".utf8))) == .notUTF8(offset: 2))
        }
        let header = Array("{\"__metadata__\":{\"a\":\"".utf8) + [0xFE] + Array("\"}}".utf8)
        #expect(problem(Self.file(header)) == .notUTF8(offset: 22))
    }

    @Test func keysThatAppearTwice() {
        #expect(problem(Self.file(two("[0,4]", "[4,8]", name: "a"), 8)) == .duplicateKey("a"))
        #expect(problem(Self.file(two("[0,4]", "[4,8]", name: "\\u0061"), 8)) == .duplicateKey("a"))
        #expect(problem(Self.file("{\"__metadata__\":{},\"__metadata__\":{}}")) == .duplicateKey("__metadata__"))
        #expect(problem(Self.file("{\"__metadata__\":{\"k\":\"1\",\"k\":\"1\"}}")) == .duplicateKey("k"))
        for field in ["\"dtype\":\"F32\"", "\"shape\":[2]", "\"data_offsets\":[0,8]"] {
            let name = String(field.split(separator: "\"")[0])
            #expect(problem(Self.file(one().replacing(field, with: field + "," + field), 8)) == .duplicateKey(name))
        }
        let composed = "{\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},\"e\u{301}\":{}}"
        #expect(problem(Self.file(composed)) == .duplicateKey("\u{E9}"))
    }

    @Test func fieldsOfATensor() {
        let fields = ["\"dtype\":\"F32\",", "\"shape\":[2],", ",\"data_offsets\":[0,8]"]
        for (field, name) in zip(fields, ["dtype", "shape", "data_offsets"]) {
            #expect(problem(Self.file(one().replacing(field, with: ""), 8)) == .missingField(tensor: "a", field: name))
        }
        for offsets in ["[]", "[0]"] {
            #expect(
                problem(Self.file(one("\"F32\"", "[2]", offsets), 8))
                    == .missingField(tensor: "a", field: "data_offsets"))
        }
        #expect(problem(Self.file(one("\"F32\"", "[2]", "[0,8,8]"), 8)) == .tooLarge(what: "data_offsets", limit: 2))
        for type in ["F8_E3M4", "I4", "U128", "f32", "", "F32 "] {
            #expect(problem(Self.file(one("\"\(type)\""), 8)) == .unknownType(tensor: "a", found: type))
        }
        let axes = "[" + [String](repeating: "1", count: 65).joined(separator: ",") + "]"
        #expect(problem(Self.file(one("\"F32\"", axes, "[0,4]"), 4)) == .tooLarge(what: "axes", limit: 64))
    }

    @Test func sizesAndOffsets() {
        #expect(
            problem(Self.file(one("\"F32\"", "[2]", "[0,7]"), 7)) == .sizeMismatch(tensor: "a", found: 7, expected: 8))
        #expect(
            problem(Self.file(one("\"F64\"", "[2]", "[0,8]"), 8)) == .sizeMismatch(tensor: "a", found: 8, expected: 16))
        #expect(
            problem(Self.file(one("\"F32\"", "[2]", "[8,0]"), 8)) == .reversedOffsets(tensor: "a", begin: 8, end: 0))
        // Products that wrap: to 0, to the right size, past a zero; element counts that fit where byte counts do not.
        for shape in [
            "[4611686018427387904,4]", "[4294967296,4294967296]", "[9223372036854775807,2]",
            "[0,9223372036854775807,3]",
            "[9223372036854775807,3,0]", "[2305843009213693952]",
        ] {
            guard case .shapeOverflow = problem(Self.file(one("\"F32\"", shape, "[0,0]"))) else {
                Issue.record("\(shape)")
                continue
            }
        }
        let huge = "[0,9223372036854775807]"
        #expect(
            problem(Self.file(one("\"U8\"", "[9223372036854775807]", huge))) == .wrongFileSize(found: 0, expected: .max)
        )

        // Overlap, alias, hole, a first tensor that does not begin at 0.
        #expect(problem(Self.file(two("[0,4]", "[3,7]"), 7)) == .notContiguous(tensor: "b", begin: 3, expected: 4))
        #expect(problem(Self.file(two("[0,4]", "[0,4]"), 4)) != nil)
        #expect(problem(Self.file(two("[0,4]", "[5,9]"), 9)) == .notContiguous(tensor: "b", begin: 5, expected: 4))
        #expect(
            problem(Self.file(one("\"F32\"", "[2]", "[4,12]"), 12))
                == .notContiguous(tensor: "a", begin: 4, expected: 0))
        #expect(
            problem(Self.file(one("\"F32\"", "[0]", "[3,3]"), 0)) == .notContiguous(tensor: "a", begin: 3, expected: 0))
        // Truncated and trailing data.
        #expect(problem(Self.file(one(), 7)) == .wrongFileSize(found: 7, expected: 8))
        #expect(problem(Self.file(one(), 9)) == .wrongFileSize(found: 9, expected: 8))
        #expect(problem(Self.file("{}", 1)) == .wrongFileSize(found: 1, expected: 0))
    }

    @Test func bytesThatAreNoBooleans() {
        var bytes = Self.file(one("\"BOOL\"", "[3]", "[0,3]"), 3)
        bytes[bytes.count - 2] = 2
        #expect(problem(bytes) == .invalidBool(tensor: "a", index: 1, found: 2))
    }

    @Test func truncationAtEveryByteAndAnExtraByte() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/file.safetensors"
            let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: fixturePath("types"))))
            for count in 0..<whole.count {
                #expect(throws: SafeTensorsError.self, "\(count)") {
                    try SafeTensorsFile.decode(Array(whole[..<count]))
                }
                guard count < 16 || count % 16 == 0 else { continue }
                try Data(whole[..<count]).write(to: URL(fileURLWithPath: path))
                #expect(throws: SafeTensorsError.self, "\(count)") { try SafeTensorsFile.read(path) }
            }
            try Data(whole + [0]).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: SafeTensorsError.self) { try SafeTensorsFile.read(path) }
            #expect(error?.file == path && error?.description.hasPrefix(path + ": found ") == true)
        }
    }

    @Test func flippedBitsInTheHeaderNeverCrash() throws {
        // Most are refused; some only rename a tensor or change a type of the same width.
        let whole = try SafeTensorsFile.encode(
            tensors: [("a", .ones([2, 3])), ("b", .ones([2], dtype: .bool))], metadata: ["k": "v"])
        for index in 0..<(whole.count - 26) {
            for bit in 0..<8 {
                var bytes = whole
                bytes[index] ^= 1 << bit
                _ = try? SafeTensorsFile.decode(bytes)
            }
        }
    }

    @Test func deepNestingEndsAtTheFirstBracket() {
        for opening in ["[", "{\"a\":"] {
            let deep = String(repeating: opening, count: 100_000)
            for header in [deep, "{\"a\":" + deep, "{\"__metadata__\":{\"a\":" + deep, one("\"F32\"", deep)] {
                guard case .malformedHeader(let offset, _, _) = problem(Self.file(header)) else {
                    Issue.record("\(header.prefix(30))")
                    continue
                }
                #expect(offset < 64)
            }
        }
    }
}

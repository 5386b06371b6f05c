// Files with tensors of every type of the format: those without a `DType` are listed, skipped where nobody asks for them, and
// refused by name where somebody does.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

/// A model with a parameter that the files below have as float32, and one that they have in each type in turn.
private final class Pair: Module {
    let kept = Parameter(.zeros([2]))
    let other = Parameter(.zeros([2, 4]))
}

private final class Single: Module {
    let kept = Parameter(.zeros([2]))
}

@Suite struct SafeTensorsTypeTests {
    typealias ElementType = SafeTensorsFile.ElementType
    typealias Problem = SafeTensorsError.Problem

    /// The bits of an element by the format's reference implementation, safetensors 0.8.0 (`Dtype::bitsize`); the types with a
    /// `DType` are those of `readable`.
    private static let bits = [
        "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
    ]
    private static let readable: [String: DType] = [
        "BOOL": .bool, "U8": .uint8, "F16": .float16, "BF16": .bfloat16, "I32": .int32, "F32": .float32,
        "F64": .float64, "I64": .int64,
    ]
    private static let types = bits.keys.sorted()

    /// A header's entry.
    private static func entry(_ name: String, _ type: String, _ shape: [Int], _ begin: Int, _ end: Int) -> String {
        "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
    }

    private static func file(_ entries: [String], _ data: [UInt8]) -> [UInt8] {
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        return (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header + data
    }

    /// A file with `kept` = [1, 2] in float32 and eight elements of `type` in `other`, before it or behind it.
    private static func file(_ type: String, otherFirst: Bool) throws -> [UInt8] {
        let count = try #require(bits[type]), kept = Tensor([1, 2] as [Float]).bytes
        let other = [UInt8](repeating: 1, count: count)
        return otherFirst
            ? file(
                [entry("kept", "F32", [2], count, count + 8), entry("other", type, [2, 4], 0, count)], other + kept)
            : file([entry("other", type, [2, 4], 8, 8 + count), entry("kept", "F32", [2], 0, 8)], kept + other)
    }

    /// Calls `body` with the path of each of the files.
    private static func withFiles(_ type: String, _ body: (_ path: String, _ bytes: [UInt8]) throws -> Void) throws {
        try withTemporaryFolder { folder in
            for otherFirst in [true, false] {
                let bytes = try file(type, otherFirst: otherFirst), path = folder + "/file.safetensors"
                try Data(bytes).write(to: URL(fileURLWithPath: path))
                try body(path, bytes)
            }
        }
    }

    @Test func theTypesAreThoseOfTheFormat() {
        #expect(ElementType.allCases.map(\.rawValue).sorted() == Self.types)
        for type in ElementType.allCases {
            #expect(type.bitCount == Self.bits[type.rawValue] && type.dtype == Self.readable[type.rawValue])
        }
    }

    @Test(arguments: types) func isListedAndSkippedWhereNobodyAsksForIt(_ type: String) throws {
        try Self.withFiles(type) { path, bytes in
            for tensors in [try SafeTensorsFile.read(path).tensors, try SafeTensorsFile.decode(bytes).tensors] {
                #expect(tensors["kept"]?.scalars(as: Float.self) == [1, 2])
                #expect(tensors["other"]?.dtype == Self.readable[type])
                #expect(tensors.count == (Self.readable[type] == nil ? 1 : 2))
            }
            let entry = try #require(try SafeTensorsFile.inspect(path).entries.first { $0.name == "other" })
            #expect(entry.type.rawValue == type && entry.dtype == Self.readable[type] && entry.shape == [2, 4])
            #expect(entry.range.count == Self.bits[type])
            #expect(try SafeTensorsFile.read(path, names: ["kept"])["kept"]?.scalars(as: Float.self) == [1, 2])
            let module = Single()
            let isReadable = Self.readable[type] != nil
            let unexpected = try module.load(safeTensors: path, strict: !isReadable).unexpected
            #expect(unexpected == (isReadable ? ["other"] : []))
            #expect(module.kept.master.scalars(as: Float.self) == [1, 2])
        }
    }

    @Test(arguments: types) func isAnErrorThatNamesItWhereSomebodyAsksForIt(_ type: String) throws {
        try Self.withFiles(type) { path, _ in
            let names = ["kept", "other"]
            guard Self.readable[type] == nil else {
                #expect(try SafeTensorsFile.read(path, names: names).keys.sorted() == names)
                return
            }
            let byName = #expect(throws: SafeTensorsError.self) { try SafeTensorsFile.read(path, names: names) }
            #expect(byName?.file == path)
            let problem = Problem.unreadableType(tensor: "other", type: try #require(ElementType(rawValue: type)))
            #expect(byName?.problem == problem)
            for word in ["'other'", type] + Self.readable.keys { #expect(problem.description.contains(word)) }
            for strict in [true, false] {
                let module = Pair()
                let error = #expect(throws: StateDictionaryError.self) {
                    try module.load(safeTensors: path, strict: strict)
                }
                #expect(error?.problems == [problem.description] && error?.missing == [])
                #expect(module.kept.master.scalars(as: Float.self) == [0, 0])
            }
        }
    }

    @Test(arguments: types) func isLeftOutWhereItIsExcepted(_ type: String) throws {
        try Self.withFiles(type) { path, _ in
            let (a, b) = (Pair(), Pair())
            try a.load(safeTensors: path, except: ["o*"])
            try b.load(stateDictionary: SafeTensorsFile.read(path).tensors, except: ["other"])
            for module in [a, b] {
                #expect(module.kept.master.scalars(as: Float.self) == [1, 2])
                #expect(module.other.master.scalars(as: Float.self) == [Float](repeating: 0, count: 8))
            }
        }
    }

    /// What is not read is checked as what is: other sizes, sizes that wrap, and parts of bytes are refused.
    @Test(arguments: types) func sizesAreChecked(_ type: String) throws {
        let count = try #require(Self.bits[type])
        func problem(_ shape: [Int], _ byteCount: Int) -> Problem? {
            let bytes = Self.file([Self.entry("a", type, shape, 0, byteCount)], [UInt8](repeating: 0, count: byteCount))
            do { _ = try SafeTensorsFile.decode(bytes) } catch { return (error as? SafeTensorsError)?.problem }
            return nil
        }
        #expect(problem([2, 4], count) == nil && problem([3, 0], 0) == nil)
        for other in [count - 1, count + 1] {
            #expect(problem([2, 4], other) == .sizeMismatch(tensor: "a", found: other, expected: count))
        }
        let wraps = [Int.max, 2 * 8 / min(count, 8) + 1]
        #expect(problem(wraps, 0) == .shapeOverflow(tensor: "a", shape: wraps))
        for elements in 1...8 where elements * count % 8 != 0 {
            let known = try #require(ElementType(rawValue: type))
            #expect(problem([elements], 1) == .partOfByte(tensor: "a", type: known, shape: [elements]))
        }
    }

    /// Files of transformers: masks of any type are left out, a table or head of another type is an error that names it.
    @Test func aGPTReadsWhatItNeeds() throws {
        var generator = SeededGenerator(seed: 1)
        let configuration = GPTConfiguration(vocabulary: 5, context: 4, layers: 1, heads: 1, width: 4)
        let (source, target) = (GPT(configuration, using: &generator), GPT(configuration, using: &generator))
        let mask = (name: "transformer.h.0.attn.bias", tensor: Tensor.ones([1, 1, 4, 4], dtype: .uint8))
        let head = (name: "lm_head.weight", tensor: source.tokens.weight.master)
        let whole = try SafeTensorsFile.encode(tensors: source.huggingFaceStateDictionary() + [mask, head])
        func load(changing name: String, _ type: String, to other: String) throws {
            let entry = "\"\(name)\":{\"dtype\":\"\(type)\""
            let place = try #require(Data(whole).range(of: Data(entry.utf8)))
            var bytes = whole
            bytes.replaceSubrange(
                place, with: Array(entry.replacingOccurrences(of: "\"\(type)\"", with: "\"\(other)\"").utf8))
            try withTemporaryFolder { folder in
                try Data(bytes).write(to: URL(fileURLWithPath: folder + "/model.safetensors"))
                try target.load(huggingFaceFile: folder + "/model.safetensors")
            }
        }
        let before = target.stateDictionary().map(\.tensor.bytes)
        for name in ["transformer.wte.weight", "lm_head.weight", "transformer.h.0.attn.c_attn.weight"] {
            do {
                try load(changing: name, "F32", to: "U32")
                Issue.record("\(name) was read")
            } catch {
                let own = name == "lm_head.weight" ? name : String(name.dropFirst("transformer.".count))
                #expect("\(error)".contains("'\(own)': found type U32, expected one that can be read"), "\(error)")
            }
            #expect(target.stateDictionary().map(\.tensor.bytes) == before)
        }
        try load(changing: mask.name, "U8", to: "I8")
        #expect(target.stateDictionary().map(\.tensor.bytes) == source.stateDictionary().map(\.tensor.bytes))
    }

    @Test func namesThatAreNotInTheFileAreErrors() throws {
        try Self.withFiles("F32") { path, _ in
            let error = #expect(throws: SafeTensorsError.self) {
                try SafeTensorsFile.read(path, names: ["kept", "none"])
            }
            #expect(error?.problem == .missingTensor("none"))
        }
    }
}

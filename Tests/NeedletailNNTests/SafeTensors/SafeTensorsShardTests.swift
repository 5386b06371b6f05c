// A model in several files is recognised, whichever of them is given.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct SafeTensorsShardTests {
    private func folder() throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("shards-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private func net() -> Sequential {
        var generator = SeededGenerator(seed: 1)
        return Sequential(
            Linear(3, 4, using: &generator), Linear(4, 2, using: &generator))
    }

    private func problem(_ body: () throws -> Void) -> SafeTensorsError.Problem? {
        do { try body() } catch let error as SafeTensorsError { return error.problem } catch {
            Issue.record("\(error)")
            return nil
        }
        Issue.record("it was read")
        return nil
    }

    @Test(arguments: [
        ("model", "00001", 1, 2), ("model", "00002", 2, 3), ("a-of-b", "7", 7, 12), ("x", "000010", 10, 999),
    ])
    func aFileOfSeveralSaysWhichItIs(_ name: String, _ digits: String, _ number: Int, _ count: Int) throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = "\(folder)/\(name)-\(digits)-of-\(count).safetensors"
        let net = net()
        try SafeTensorsFile.write(Array(net.stateDictionary().prefix(2)), to: path)
        #expect(problem { try net.load(safeTensors: path) } == .shard(number: number, count: count))
        #expect(
            "\(SafeTensorsError.Problem.shard(number: number, count: count))".contains("file \(number) of the \(count)")
        )
        // One after the other they can be loaded, and as files they are read like any other.
        #expect(try net.load(safeTensors: path, strict: false).missing.count == 2)
        #expect(try SafeTensorsFile.read(path).tensors.count == 2)
        var generator = SeededGenerator(seed: 1)
        let gpt = GPT(.init(vocabulary: 4, context: 4, layers: 1, heads: 1, width: 4), using: &generator)
        let part = gpt.huggingFaceStateDictionary().prefix(3)
        try SafeTensorsFile.write(Array(part), to: path)
        #expect(problem { try gpt.load(huggingFaceFile: path) } == .shard(number: number, count: count))
    }

    @Test(arguments: ["model-00001-of-00001.safetensors", "model-of-2.safetensors", "1-of.safetensors", "weights"])
    func aWholeFileIsNone(_ name: String) throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let net = net()
        try SafeTensorsFile.write(net.stateDictionary(), to: "\(folder)/\(name)")
        try net.load(safeTensors: "\(folder)/\(name)")
        try SafeTensorsFile.write(Array(net.stateDictionary().dropLast()), to: "\(folder)/\(name)")
        #expect(throws: StateDictionaryError.self) { try net.load(safeTensors: "\(folder)/\(name)") }
    }

    /// The index itself, the file that is not there beside it, and the folder.
    @Test func theIndexIsRecognised() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let index = "\(folder)/model.safetensors.index.json"
        let net = net()
        for (text, count) in [
            (
                """
                {"metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
                """, 2
            ), (" {\n\"weight_map\" : {}}", 0),
        ] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: index))
            for path in [index, "\(folder)/model.safetensors", folder] {
                #expect(problem { try net.load(safeTensors: path) } == .shardIndex(count: count), "\(path)")
                #expect(problem { _ = try SafeTensorsFile.read(path) } == .shardIndex(count: count), "\(path)")
                #expect(problem { _ = try SafeTensorsFile.inspect(path) } == .shardIndex(count: count), "\(path)")
            }
        }
        // Other JSON is no index.
        try Data("{\"weights\": \"none, only words\"}".utf8).write(to: URL(fileURLWithPath: index))
        guard case .headerTooLarge = problem({ _ = try SafeTensorsFile.read(index) }) else {
            Issue.record("taken for an index")
            return
        }
    }
}

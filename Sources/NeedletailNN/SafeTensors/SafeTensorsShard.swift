// Models that were saved in several files, as transformers saves large ones: `model-00001-of-00002.safetensors`, … and
// `model.safetensors.index.json`, which says which tensor is in which file. Nothing here reads such a model; these are recognised,
// so that errors can say what they are.
import NeedletailFiles

/// One of the files of a model that was saved in several, as its name says.
struct SafeTensorsShard {
    let number: Int
    let count: Int

    /// From a name such as `model-00001-of-00002.safetensors`; nil for other names, and where the file is the only one.
    init?(path: String) {
        var name = path.split(separator: "/").last.map(Array.init) ?? []
        let ending = Array(".safetensors")
        guard name.count > ending.count, Array(name.suffix(ending.count)) == ending else { return nil }
        name.removeLast(ending.count)
        let parts = String(name).split(separator: "-")
        guard parts.count >= 3, parts[parts.count - 2] == "of", let count = Self.number(parts[parts.count - 1]),
            let number = Self.number(parts[parts.count - 3]), count > 1
        else { return nil }
        (self.number, self.count) = (number, count)
    }

    private static func number(_ digits: Substring) -> Int? {
        !digits.isEmpty && digits.utf8.allSatisfy { JSONScanner.digit($0) != nil } ? Int(digits) : nil
    }

    /// How many files the index at `path` names, 0 where none can be counted; nil where the file is no such index.
    static func filesOfIndex(at path: FilePath) -> Int? {
        guard let file = try? RegularFile(path), let bytes = try? file.bytes(1 << 16) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.first(where: { !$0.isWhitespace }) == "{", text.contains("\"weight_map\"") else { return nil }
        let named = text.split(separator: "\"").lazy.compactMap { SafeTensorsShard(path: String($0)) }
        return named.first?.count ?? 0
    }
}

extension SafeTensorsFile {
    /// Runs `body`, which loads the file at `path`; where tensors are missing and the file is one of several, the error says that.
    static func explainingShard<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as StateDictionaryError where !error.missing.isEmpty {
            guard let shard = SafeTensorsShard(path: path) else { throw error }
            throw SafeTensorsError(file: path, problem: .shard(number: shard.number, count: shard.count))
        }
    }

    /// What the file at `path` is, where it holds tensors but is no checkpoint's folder; nil for anything else.
    package static func kind(of path: String) -> String? {
        if let shard = SafeTensorsShard(path: path) { return "file \(shard.number) of \(shard.count) of a model" }
        if let count = SafeTensorsShard.filesOfIndex(at: FilePath(path)) {
            return "the index of a model in \(count > 0 ? "\(count)" : "several") files"
        }
        return path.hasSuffix(".safetensors") ? "a safetensors file" : nil
    }
}

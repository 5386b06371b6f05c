// GPT-2 weights under the names and in the layout of Hugging Face's transformers.
import Foundation
import NeedletailFiles
public import NeedletailTensor

/// A folder of weights that is no GPT-2 that this package can build.
public struct GPTFormatError: Error, CustomStringConvertible {
    /// What was found, what was expected and what to do.
    public let description: String
}

extension GPT {
    /// The GPT-2 in a folder with `config.json` and `model.safetensors`, as transformers saves one.
    ///
    /// transformers stores the matrices of its linear layers as [inputs, outputs]; here they are turned round. Names may begin with
    /// "transformer."; attention's stored masks are left out. A head of its own (`lm_head.weight`) must be the embedding's table.
    /// - Throws: ``GPTFormatError``, `SafeTensorsError`, ``StateDictionaryError``.
    public convenience init(huggingFace folder: String) throws {
        let configuration = try GPTConfiguration(huggingFace: folder + "/config.json")
        var generator = SeededGenerator(seed: 0)
        self.init(configuration, using: &generator)
        try load(huggingFaceFile: folder + "/model.safetensors")
    }

    /// Assigns the parameters from a file that transformers has written.
    ///
    /// Attention's stored masks are not read, whatever their type.
    /// - Throws: ``GPTFormatError``, `SafeTensorsError`, ``StateDictionaryError``; nothing has then changed.
    public func load(huggingFaceFile path: String) throws {
        let content = try SafeTensorsFile.content(of: path) { !Self.isMask($0) }
        if let head = content.unread.first(where: { Self.ownName($0.name) == "lm_head.weight" }) {
            throw SafeTensorsError(file: path, problem: .unreadableType(tensor: head.name, type: head.type))
        }
        try SafeTensorsFile.explainingShard(path) {
            try load(huggingFace: content.tensors, unread: content.unreadTypes)
        }
    }

    /// Assigns the parameters from tensors under transformers' names.
    public func load(huggingFace tensors: [String: Tensor]) throws { try load(huggingFace: tensors, unread: [:]) }

    private func load(huggingFace tensors: [String: Tensor], unread: [String: SafeTensorsFile.ElementType]) throws {
        var named: [String: Tensor] = [:]
        for (name, tensor) in tensors where !Self.isMask(name) {
            let name = Self.ownName(name)
            named[name] = Self.isTurned(name) && tensor.rank == 2 ? tensor.transposed().contiguous() : tensor
        }
        let unread = Dictionary(unread.map { (Self.ownName($0.key), $0.value) }) { first, _ in first }
        if let head = named.removeValue(forKey: "lm_head.weight"), unread["wte.weight"] == nil,
            head.bytes != named["wte.weight"]?.bytes
        {
            throw GPTFormatError(
                description:
                    "lm_head.weight differs from wte.weight, expected one table for both; tie them before saving")
        }
        try load(named, unread: unread, except: [], strict: true)
    }

    /// The parameters under transformers' names and in its layout, for a `model.safetensors`; adapters are merged.
    public func huggingFaceStateDictionary() -> [(name: String, tensor: Tensor)] {
        mergedStateDictionary().map { name, tensor in
            ("transformer." + name, Self.isTurned(name) ? tensor.transposed().contiguous() : tensor)
        }
    }

    /// The name of transformers' model without its head, which older files have.
    private static func ownName(_ name: String) -> String {
        name.hasPrefix("transformer.") ? String(name.dropFirst("transformer.".count)) : name
    }

    /// Whether the tensor is a mask of attention, which is a constant.
    private static func isMask(_ name: String) -> Bool {
        name.hasSuffix(".attn.bias") || name.hasSuffix(".attn.masked_bias")
    }

    /// Whether transformers stores a parameter transposed.
    private static func isTurned(_ name: String) -> Bool {
        [".c_attn.weight", ".c_proj.weight", ".c_fc.weight"].contains { name.hasSuffix($0) }
    }
}

extension GPTConfiguration {
    /// What a `config.json` of transformers says of a GPT-2.
    /// - Throws: ``GPTFormatError`` where the file cannot be read, describes another model or one that this package has not.
    public init(huggingFace path: String) throws {
        struct Description: Decodable {
            var model_type: String
            var vocab_size, n_layer, n_head, n_embd: Int
            var n_positions: Int?, n_ctx: Int?, n_inner: Int?
            var activation_function: String?
            var layer_norm_epsilon: Double?
            var scale_attn_weights: Bool?, scale_attn_by_inverse_layer_idx: Bool?
        }
        let description: Description
        do {
            let bytes = try RegularFile.bytes(of: FilePath(path), limit: 1 << 24)
            description = try JSONDecoder().decode(Description.self, from: Data(bytes))
        } catch {
            let why = (error as? FileError)?.reason ?? "\(error)"
            throw GPTFormatError(
                description: "\(FilePath(path)): \(why); expected the config.json of a GPT-2 of transformers")
        }
        let d = description
        guard d.model_type == "gpt2" else {
            throw GPTFormatError(description: "\(FilePath(path)): model_type is \(d.model_type), expected gpt2")
        }
        let kinds: [String: FeedForwardKind] = [
            "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "gelu": .gelu,
        ]
        guard let kind = kinds[d.activation_function ?? "gelu_new"] else {
            throw GPTFormatError(
                description:
                    "\(FilePath(path)): activation_function is \(d.activation_function ?? ""), expected one of "
                    + kinds.keys.sorted().joined(separator: ", "))
        }
        guard d.scale_attn_weights != false, d.scale_attn_by_inverse_layer_idx != true else {
            throw GPTFormatError(
                description: "\(FilePath(path)): attention is scaled otherwise than by 1 / sqrt(size of a head)")
        }
        self.init(
            vocabulary: d.vocab_size, context: d.n_positions ?? d.n_ctx ?? 1024, layers: d.n_layer, heads: d.n_head,
            width: d.n_embd)
        (hidden, feedForward, epsilon) = (d.n_inner, kind, d.layer_norm_epsilon ?? 1e-5)
        if let problem { throw GPTFormatError(description: "\(FilePath(path)): \(problem)") }
    }
}

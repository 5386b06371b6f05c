// Low-rank adapters: fine-tuning a linear layer by two small matrices beside its frozen weight.
public import NeedletailTensor

/// What an adapter adds to a linear layer: (alpha / rank) (x A^T) B^T.
///
/// Shapes: A `lora_A` [rank, inputs], B `lora_B` [outputs, rank].
/// Initialisation: A as a linear layer's weight, B zero: at first the layer is what it was.
/// Source: Hu et al., arXiv 2106.09685.
public final class LowRankAdapter: Module {
    /// A.
    public let down: Parameter
    /// B.
    public let up: Parameter
    /// alpha / rank.
    public let scale: Double

    /// An adapter for a layer from `inputs` to `outputs`.
    public init(
        inputs: Int, outputs: Int, rank: Int, alpha: Double, using generator: inout SeededGenerator
    ) {
        require(rank > 0 && alpha > 0, "LowRankAdapter: rank \(rank) and alpha \(alpha), expected both above 0")
        down = Initializer.linearDefault(inputs: inputs).parameter([rank, inputs], using: &generator)
        up = Parameter(.zeros([outputs, rank]))
        scale = alpha / Double(rank)
    }

    public override func members() -> [ModuleMember] { [.parameter("lora_A", down), .parameter("lora_B", up)] }

    /// What is added for `x`.
    func forward(_ x: Tensor) -> Tensor {
        linear(linear(x, weight: down.borrowedValue), weight: up.borrowedValue) * scale
    }

    /// scale B A, in float32 (float64 for float64).
    var product: Tensor {
        let type = up.storageType.accumulationType
        return up.master.cast(to: type).matmul(down.master.cast(to: type)) * scale
    }
}

extension Module {
    /// Freezes all parameters, and gives each `Linear` whose dotted name matches one of `patterns` (such as `*.c_attn`) an
    /// adapter, which is trained. How many got one.
    ///
    /// Throws: ``PatternError``, having changed nothing, where a pattern matches no `Linear`.
    ///
    /// To be called before optimizers are made. Adapters take part in checkpoints as `<name>.adapter.lora_A` and `lora_B`.
    @discardableResult
    public func addLowRankAdapters(
        to patterns: [String], rank: Int, alpha: Double, using generator: inout SeededGenerator
    ) throws(PatternError) -> Int {
        let layers = namedModules().compactMap { name, module in (module as? Linear).map { (name: name, layer: $0) } }
        for pattern in patterns where !layers.contains(where: { matches($0.name, pattern: pattern) }) {
            throw PatternError(pattern, kind: "linear layer", names: layers.map(\.name))
        }
        freeze()
        var count = 0
        for (name, layer) in layers where patterns.contains(where: { matches(name, pattern: $0) }) {
            let adapter = LowRankAdapter(
                inputs: layer.inputs, outputs: layer.outputs, rank: rank, alpha: alpha, using: &generator)
            for parameter in adapter.parameters() {
                parameter.setTypes(storage: layer.weight.storageType, compute: layer.weight.computeType)
            }
            layer.adapter = adapter
            count += 1
        }
        return count
    }

    /// Adds what adapters have learned to the weights, W + (alpha / rank) B A rounded once, and takes them away. How many they were.
    @discardableResult
    public func mergeLowRankAdapters() throws -> Int {
        var count = 0
        for case (_, let layer as Linear) in namedModules() {
            guard let adapter = layer.adapter else { continue }
            try withoutGradients { try layer.weight.assign(Self.merged(layer, adapter)) }
            layer.adapter = nil
            count += 1
        }
        return count
    }

    /// The parameters by name as they would be after ``mergeLowRankAdapters()``; the module stays as it is.
    public func mergedStateDictionary() -> [(name: String, tensor: Tensor)] {
        var merged: [ObjectIdentifier: Tensor] = [:]
        var left: Set<ObjectIdentifier> = []
        for case (_, let layer as Linear) in namedModules() {
            guard let adapter = layer.adapter else { continue }
            let sum = withoutGradients { Self.merged(layer, adapter) }
            merged[ObjectIdentifier(layer.weight)] = sum.cast(to: layer.weight.storageType)
            left.formUnion(adapter.parameters().map { ObjectIdentifier($0) })
        }
        return namedParameters().compactMap { name, parameter in
            let key = ObjectIdentifier(parameter)
            return left.contains(key) ? nil : (name, merged[key] ?? parameter.master)
        }
    }

    private static func merged(_ layer: Linear, _ adapter: LowRankAdapter) -> Tensor {
        let product = adapter.product
        return layer.weight.master.cast(to: product.dtype) + product
    }
}

// Every layer that there is, and one of a user's own, each as a model that can be trained, to test what holds for all.
import Foundation
import Needletail
import Testing

/// A layer under test and the inputs that it takes.
struct LayerCase: Sendable, CustomTestStringConvertible {
    let name: String
    /// The shape of one sample, or how many integers below 7 it is.
    let input: [Int]
    var isInteger = false
    let make: @Sendable (inout SeededGenerator) -> any Layer

    var testDescription: String { name }

    /// All layers of NeedletailNN in their order, then compositions and a layer of a user's own.
    static let all: [LayerCase] = [
        LayerCase(name: "AdaptiveAveragePool2d", input: [2, 6, 6]) { _ in AdaptiveAveragePool2d(3) },
        LayerCase(name: "AveragePool2d", input: [2, 6, 6]) { _ in AveragePool2d(2) },
        LayerCase(name: "BatchNorm1d", input: [5]) { _ in BatchNorm1d(5) },
        LayerCase(name: "BatchNorm2d", input: [3, 4, 4]) { _ in BatchNorm2d(3, momentum: nil) },
        LayerCase(name: "Conv1d", input: [2, 8]) { Conv1d(2, 3, kernel: 3, using: &$0) },
        LayerCase(name: "Conv2d", input: [2, 6, 6]) { Conv2d(2, 3, kernel: 3, using: &$0) },
        LayerCase(name: "ConvTranspose2d", input: [2, 4, 4]) { ConvTranspose2d(2, 3, kernel: 3, using: &$0) },
        LayerCase(name: "Dropout", input: [9]) { Dropout(0.3, using: &$0) },
        LayerCase(name: "Embedding", input: [4], isInteger: true) { Embedding(7, 5, using: &$0) },
        LayerCase(name: "FeedForward", input: [3, 8]) { FeedForward(8, hidden: 16, using: &$0) },
        LayerCase(name: "Flatten", input: [2, 3]) { _ in Flatten() },
        LayerCase(name: "GELU", input: [6]) { _ in GELU() },
        LayerCase(name: "GroupNorm", input: [4, 3, 3]) { _ in GroupNorm(2, 4) },
        LayerCase(name: "LayerNorm", input: [8]) { _ in LayerNorm(8) },
        LayerCase(name: "Linear", input: [6]) { Linear(6, 4, using: &$0) },
        LayerCase(name: "LowRankAdapter", input: [6]) { generator in
            let layer = Sequential([Linear(6, 4, using: &generator), BatchNorm1d(4)])
            try! layer.addLowRankAdapters(to: ["0"], rank: 2, alpha: 4, using: &generator)
            return layer
        },
        LayerCase(name: "MaxPool2d", input: [2, 6, 6]) { _ in MaxPool2d(2) },
        LayerCase(name: "MultiheadAttention", input: [4, 8]) { MultiheadAttention(8, heads: 2, using: &$0) },
        LayerCase(name: "RMSNorm", input: [8]) { _ in RMSNorm(8) },
        LayerCase(name: "ReLU", input: [6]) { _ in ReLU() },
        LayerCase(name: "Sequential", input: [3, 4, 4]) { generator in
            Sequential([
                Conv2d(3, 4, kernel: 3, using: &generator), BatchNorm2d(4), ReLU(), Dropout(0.2, using: &generator),
            ])
        },
        LayerCase(name: "SiLU", input: [6]) { _ in SiLU() },
        LayerCase(name: "SwiGLU", input: [8]) { SwiGLU(8, hidden: 6, using: &$0) },
        LayerCase(name: "TransformerBlock", input: [4, 8]) { generator in
            var options = TransformerBlockOptions(width: 8, heads: 2)
            options.dropout = 0.2
            return TransformerBlock(options, using: &generator)
        },
        LayerCase(name: "GPT", input: [6], isInteger: true) { generator in
            var configuration = GPTConfiguration(vocabulary: 7, context: 6, layers: 2, heads: 2, width: 8)
            configuration.dropout = 0.1
            return GPT(configuration, using: &generator)
        },
        LayerCase(name: "Jitter", input: [6]) { Jitter(6, using: &$0) },
        LayerCase(name: "recomputed", input: [6]) { Recomputed(6, using: &$0) },
    ]
}

/// A user's layer: noise in training and in evaluation, scaled by a running maximum that it reads and moves.
final class Jitter: Module, Layer, RandomStateHolder {
    var generator: SeededGenerator
    let largest = Buffer(.ones([]))
    let calls = Buffer(.zeros([], dtype: .int64))
    let linear: Linear

    init(_ size: Int, using generator: inout SeededGenerator) {
        linear = Linear(size, size, using: &generator)
        self.generator = SeededGenerator(seed: generator.next())
    }

    func forward(_ x: Tensor) -> Tensor {
        let noise = (0..<x.count).map { _ in Float(generator.nextNormal()) }
        let scaled = Tensor(noise, shape: x.shape).cast(to: x.dtype) * (0.01 * largest.value.item())
        let most = x.detached().cast(to: .float32).scalars(as: Float.self).reduce(0) { max($0, abs($1)) }
        try! largest.assign(Tensor([Float(0.5 * (largest.value.item() + Double(most)))], shape: []))
        try! calls.assign(Tensor([calls.value.scalars(as: Int64.self)[0] + 1], shape: []))
        return linear(x + scaled)
    }
}

/// Layers whose activations are computed again in backward.
final class Recomputed: Module, Layer {
    let layers: Sequential

    init(_ size: Int, using generator: inout SeededGenerator) {
        layers = Sequential([
            Linear(size, size, using: &generator), BatchNorm1d(size), Dropout(0.25, using: &generator),
            Jitter(size, using: &generator),
        ])
    }

    func forward(_ x: Tensor) -> Tensor { checkpointed(x) { self.layers($0) } }
}

/// What a step is made to throw.
struct StepFailure: Error {}

/// A model of one layer between a scale and the mean of squares; chosen batches have an infinite loss.
final class LayerModel: TrainingModule {
    let scale = Parameter(.ones([1]))
    let layer: any Layer
    let layerCase: LayerCase
    let poisoned: Set<Int>
    /// A generator of the model's own, which it saves itself.
    var own = SeededGenerator(seed: 99)
    var showsExample = false
    /// Whether the layer's activations are computed again in backward.
    var recomputes = false
    /// How many training steps are still to go before one throws, after the forward pass; nil for none.
    var stepsToFailure: Int?
    /// Those that were made last.
    private(set) var optimizers: [Optimizer] = []

    init(_ layerCase: LayerCase, poisoned: Set<Int> = []) {
        var generator = SeededGenerator(seed: 5)
        self.layerCase = layerCase
        layer = layerCase.make(&generator)
        self.poisoned = poisoned
    }

    override func members() -> [ModuleMember] { [.parameter("scale", scale), .module("layer", layer)] }

    func output(_ inputs: Tensor) -> Tensor {
        recomputes ? checkpointed(inputs) { self.layer($0) } : layer(inputs)
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let shift = own.nextUniform()
        let y = output(batch.inputs).cast(to: .float32)
        let loss = ((y - shift) * (y - shift) * scale.value.cast(to: .float32)).mean()
        let poison = poisoned.contains(index) && layerCase.isInteger ? Double.infinity : 1
        let result = loss * poison
        log("train_loss", result, onStep: true, onEpoch: true)
        if let left = stepsToFailure {
            stepsToFailure = left == 0 ? nil : left - 1
            if left == 0 { throw StepFailure() }
        }
        return result
    }

    override func validationStep(_ batch: Batch, _ index: Int) throws {
        if trainer?.isSanityChecking == false { _ = own.next() }
        log("val_loss", output(batch.inputs).cast(to: .float32).mean())
    }

    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        _ = own.next()
        return output(batch.inputs)
    }

    override var exampleInputs: Tensor? {
        showsExample ? try? Samples(layerCase, 3).batch([0, 1, 2], dtype: .float32).inputs : nil
    }

    override func configureOptimizers() -> [Optimizer] {
        optimizers = [AdamW(parameters().filter { !$0.isFrozen }, learningRate: 1e-2)]
        return optimizers
    }

    override func onSaveCheckpoint(_ state: inout [String: JSONValue]) throws {
        state["own"] = try JSONValue(encoding: own)
    }

    override func onLoadCheckpoint(_ state: [String: JSONValue]) throws {
        if let saved = state["own"] { own = try saved.decoded(as: SeededGenerator.self) }
    }
}

/// Samples for a layer; those of poisoned batches hold an infinity where the layer takes floating-point numbers.
struct Samples: Dataset {
    let layerCase: LayerCase
    let count: Int
    let infinite: Range<Int>

    init(_ layerCase: LayerCase, _ count: Int, infinite: Range<Int> = 0..<0) {
        self.layerCase = layerCase
        self.count = count
        self.infinite = infinite
    }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let size = layerCase.input.reduce(1, *)
        let targets = Tensor.zeros([indices.count], dtype: .int64)
        var generator = SeededGenerator(seed: 17)
        let all = (0..<count * size).map { _ in generator.nextNormal() }
        let shape = [indices.count] + layerCase.input
        if layerCase.isInteger {
            let values = indices.flatMap { row in (0..<size).map { Int64(abs(all[row * size + $0]) * 1000) % 7 } }
            return Batch(inputs: Tensor(values, shape: shape), targets: targets)
        }
        let values = indices.flatMap { row in
            (0..<size).map { infinite.contains(row) ? Float.infinity : Float(all[row * size + $0]) }
        }
        return Batch(inputs: Tensor(values, shape: shape).cast(to: dtype), targets: targets)
    }
}

/// The bytes of everything that a step may change.
struct ModuleBytes: Equatable {
    let parameters: [[UInt8]], buffers: [[UInt8]], optimizers: [[UInt8]]
    let generators: [String: SeededGenerator], own: SeededGenerator?
    let modes: [Bool]

    init(_ module: TrainingModule) {
        parameters = module.parameters().map { $0.master.bytes + $0.value.detached().bytes }
        buffers = module.namedBuffers().map(\.buffer.value.bytes)
        let model = module as? LayerModel
        optimizers = (model?.optimizers ?? []).flatMap { $0.stateTensors().map(\.tensor.bytes) }
        generators = module.randomStates()
        own = model?.own
        modes = module.namedModules().map(\.module.isTraining)
    }

    /// Without what goes on after a skipped step.
    var withoutGenerators: [[[UInt8]]] { [parameters, buffers, optimizers] }
}

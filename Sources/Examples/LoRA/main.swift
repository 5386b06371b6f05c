// Low-rank adapters: a GPT learns to count upwards, then, with all its weights frozen, to count downwards; what the adapters have
// learned is merged into the weights and saved. swift run -c release ExampleLoRA 150
import Needletail

final class Counter: TrainingModule {
    let gpt: GPT

    init(using generator: inout SeededGenerator) {
        gpt = GPT(.init(vocabulary: 10, context: 16, layers: 2, heads: 2, width: 32), using: &generator)
    }
    override func members() -> [ModuleMember] { gpt.members() }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try gpt.loss(batch.inputs, targets: batch.targets)
    }
    override func testStep(_ batch: Batch, _ index: Int) throws {
        let hits = gpt.logits(gpt(batch.inputs)).argmax(axis: 2) .== batch.targets
        log("accuracy", hits.cast(to: .float32).mean())
    }
    override func configureOptimizers() -> [Optimizer] {
        [AdamW(parameters().filter(\.requiresGradient), learningRate: 1e-2, weightDecay: 0)]
    }
}

func accuracy(_ model: Counter, _ data: TokenDataset) throws -> Double {
    try Trainer(precision: .mixedBFloat16) { $0.enableProgressBar = false }
        .test(model, DataLoader(data, batchSize: 32))["accuracy"] ?? .nan
}

func train(_ model: Counter, _ data: TokenDataset, steps: Int) throws {
    try Trainer(maxEpochs: 1000, precision: .mixedBFloat16) {
        $0.maxSteps = steps
        $0.enableCheckpointing = false
    }.fit(model, train: DataLoader(data, batchSize: 32, shuffle: true, seed: 1))
}

let steps = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 150
let upwards = TokenDataset((0..<2000).map { $0 % 10 }, context: 16, stride: 3)
let downwards = TokenDataset((0..<2000).map { 9 - $0 % 10 }, context: 16, stride: 3)

var generator = SeededGenerator(seed: 1)
let model = Counter(using: &generator)
try train(model, upwards, steps: steps)
print("upwards", try accuracy(model, upwards))

// 2 x 8 (32 + 128) + 2 x 8 (128 + 32) numbers are trained instead of 26 thousand.
let adapted = try model.addLowRankAdapters(
    to: ["h.*.mlp.c_fc", "h.*.mlp.c_proj"], rank: 8, alpha: 16, using: &generator)
print("adapters", adapted)
try train(model, downwards, steps: steps)
print("downwards", try accuracy(model, downwards))

// Under transformers' names; the adapters are in the weights.
let bytes = try SafeTensorsFile.encode(tensors: model.gpt.huggingFaceStateDictionary(), metadata: ["format": "pt"])
let merged = Counter(using: &generator)
try merged.gpt.load(huggingFace: SafeTensorsFile.decode(bytes).tensors)
print("merged", try accuracy(merged, downwards))

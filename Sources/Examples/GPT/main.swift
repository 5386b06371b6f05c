// A small GPT learns a text by its characters, then writes. swift run -c release ExampleGPT input.txt bf16-mixed 500
import Needletail

final class Writer: TrainingModule {
    let gpt: GPT

    init(vocabulary: Int, using generator: inout SeededGenerator) {
        gpt = GPT(.init(vocabulary: vocabulary, context: 64, layers: 2, heads: 4, width: 64), using: &generator)
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try gpt.loss(batch.inputs, targets: batch.targets)
        log("loss", loss, progressBar: true, weight: lossWeight(of: batch))
        return loss
    }
    override func validationStep(_ batch: Batch, _ index: Int) throws {
        let loss = try gpt.loss(batch.inputs, targets: batch.targets)
        log("validation_loss", loss, weight: lossWeight(of: batch))
    }
    override func configureOptimizers() -> [Optimizer] {
        let (matrices, others) = gpt.decayGroups()
        var options = AdamOptions(weightDecay: 0.1)
        options.learningRate = 3e-3
        var plain = options
        plain.weightDecay = 0
        return [AdamW(groups: [ParameterGroup(matrices, options), ParameterGroup(others, plain)])]
    }
}

let arguments = CommandLine.arguments
let path = arguments.count > 1 ? arguments[1] : #filePath
let precision = try Precision(parsing: arguments.count > 2 ? arguments[2] : "bf16-mixed")
let steps = arguments.count > 3 ? Int(arguments[3]) ?? 500 : 500

let text = try TokenizedText(path: path)
let (vocabulary, tokens) = (text.vocabulary, text.tokens)
let split = tokens.count - tokens.count / 10
let data = TokenDataset(tokens[0..<split], context: 64, stride: 8)
let held = TokenDataset(tokens[split..<tokens.count], context: 64)

var generator = SeededGenerator(seed: 1)
let writer = Writer(vocabulary: vocabulary.count, using: &generator)
let trainer = Trainer(maxEpochs: 1000, precision: precision) {
    $0.maxSteps = steps
    $0.gradientClip = .norm(1)
    $0.callbacks = [ModelCheckpoint(directory: "runs/gpt/checkpoints") { $0.overwrite = true }]
}
try trainer.fit(writer, train: DataLoader(data, batchSize: 16, shuffle: true, seed: 1))
print("validation_loss", try trainer.validate(writer, DataLoader(held, batchSize: 16))["validation_loss"] ?? .nan)

var options = SamplingOptions()
(options.temperature, options.topK) = (0.8, 20)
var written: [Int] = []
writer.gpt.generate(
    after: try tokens[0..<min(16, tokens.count)].values(), count: 200, options: options, using: &generator
) { token in
    written.append(token)
    return true
}
print(String(decoding: vocabulary.decode(written), as: UTF8.self))

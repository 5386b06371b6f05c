// The module behind `train --model gpt`: a GPT with its loss, optimizer and schedule.
import Foundation
import Needletail

/// What is needed to build the model again and to read its tokens; kept in checkpoints as hyper-parameters.
struct LanguageModelConfiguration: Codable, Equatable {
    /// The text that it was trained on, for people.
    var data: String
    var gpt: GPTConfiguration
    var text: TextVocabulary
    var learningRate: Double
    var weightDecay: Double
    /// nil for a learning rate that stays.
    var schedule: ScheduleConfiguration?
    /// Whether the warm-up is at most a tenth of all steps, because nobody has said how long it is.
    var shortensWarmUp: Bool
}

/// A GPT trained by AdamW on the cross-entropy of the tokens that follow. Parameters have the GPT's names.
final class LanguageModel: TrainingModule {
    let configuration: LanguageModelConfiguration
    let gpt: GPT

    init(_ configuration: LanguageModelConfiguration, using generator: inout SeededGenerator) throws {
        self.configuration = configuration
        gpt = GPT(configuration.gpt, using: &generator)
        super.init()
        guard case .object(let members) = try JSONValue(encoding: configuration) else { return }
        hyperparameters = members
    }

    override func members() -> [ModuleMember] { gpt.members() }

    /// One window of the first token.
    override var exampleInputs: Tensor? { Tensor.zeros([1, configuration.gpt.context], dtype: .int64) }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        let loss = try gpt.loss(batch.inputs, targets: batch.targets)
        log("train_loss", loss, onStep: true, onEpoch: true, progressBar: true, weight: lossWeight(of: batch))
        return loss
    }

    override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) throws {
        log("gradient_norm", result.gradientNorm)
    }

    override func validationStep(_ batch: Batch, _ index: Int) throws {
        let loss = try gpt.loss(batch.inputs, targets: batch.targets)
        log("validation_loss", loss, progressBar: true, weight: lossWeight(of: batch))
    }

    /// The logits, [windows, context, vocabulary].
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor { gpt.logits(gpt(batch.inputs)) }

    override func configureOptimizers() -> [Optimizer] {
        let groups = gpt.decayGroups()
        var options = AdamOptions(weightDecay: configuration.weightDecay)
        (options.learningRate, options.beta2) = (configuration.learningRate, 0.99)
        var plain = options
        plain.weightDecay = 0
        return [AdamW(groups: [ParameterGroup(groups.decayed, options), ParameterGroup(groups.others, plain)])]
    }

    override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
        guard var configured = configuration.schedule, let trainer else { return [] }
        var planned = (trainer.configuration.maxEpochs ?? 1) * trainer.stepsPerEpoch
        if let most = trainer.configuration.maxSteps { planned = min(planned, most) }
        if configuration.shortensWarmUp { configured.warmUpSteps = min(configured.warmUpSteps, planned / 10) }
        let (steps, schedule) = (planned, configured)
        return try optimizers.map { try Scheduler(schedule.schedule(planned: steps, hasMomentum: true), of: $0) }
    }

    /// The model of a checkpoint, built again.
    static func trained(_ path: String) throws -> LanguageModel {
        let checkpoint = try Checkpoint(TrainedClassifier.folder(path))
        let configuration: LanguageModelConfiguration
        do { configuration = try JSONValue.object(checkpoint.hyperparameters).decoded() } catch {
            throw CommandError.data(
                "\(path): its hyper-parameters describe no language model; give a checkpoint of train --model gpt")
        }
        // No model is built, and no memory taken, that its tensors do not fill.
        if let problem = configuration.gpt.problem {
            throw CommandError.data("\(path): \(problem); use an older checkpoint")
        }
        try checkpoint.checkTypes()
        let elements = checkpoint.model.values.reduce(0) { $0 + $1.count }
        guard configuration.gpt.parameterCount <= Double(elements),
            configuration.gpt.vocabulary == configuration.text.count
        else {
            throw CommandError.data(
                "\(path): found \(elements) parameters, expected at least \(Int(configuration.gpt.parameterCount)) and a "
                    + "vocabulary of \(configuration.text.count) from the hyper-parameters; use an older checkpoint")
        }
        var generator = SeededGenerator(seed: 0)
        let model = try LanguageModel(configuration, using: &generator)
        try checkpoint.policy.apply(to: model)
        try model.load(stateDictionary: checkpoint.model)
        return model
    }
}

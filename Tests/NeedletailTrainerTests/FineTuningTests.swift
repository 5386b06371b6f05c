import Foundation
import Needletail
import Testing

/// A backbone and a head.
private final class Tuned: TrainingModule, HyperparameterInitializable {
    let backbone: Sequential, head: Linear
    init(seed: UInt64 = 1, classes: Int = 3) {
        var generator = SeededGenerator(seed: seed)
        backbone = Sequential([Linear(6, 8, activation: .relu, using: &generator), Dropout(0.2, using: &generator)])
        head = Linear(8, classes, using: &generator)
        super.init()
        hyperparameters = ["classes": .integer(Int64(classes))]
    }
    convenience init(hyperparameters: [String: JSONValue]) throws {
        struct Missing: Error {}
        guard let classes = hyperparameters["classes"] else { throw Missing() }
        self.init(seed: 77, classes: try classes.decoded())
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try crossEntropy(head(backbone(batch.inputs)), batch.targets)
    }
    override func configureOptimizers() -> [Optimizer] { [Adam(parameters(), learningRate: 1e-2)] }
}

/// The same without a head.
private final class Backbone: TrainingModule {
    let backbone: Sequential
    override init() {
        var generator = SeededGenerator(seed: 3)
        backbone = Sequential([Linear(6, 8, activation: .relu, using: &generator), Dropout(0.2, using: &generator)])
        super.init()
    }
}

@Suite struct FineTuningTests {
    private func loader() -> DataLoader { DataLoader(Points(20), batchSize: 4, shuffle: true) }

    @Test func frozenParametersStay() throws {
        let module = Tuned()
        module.backbone.freeze()
        #expect(module.backbone.isFrozen && !module.isFrozen && !module.head.isFrozen)
        let before = module.bits
        try quietTrainer(maxEpochs: 1).fit(module, train: loader())
        #expect(module.bits.prefix(2) == before.prefix(2) && module.bits.suffix(2) != before.suffix(2))
        module.unfreeze()
        #expect(module.parameters().allSatisfy { $0.requiresGradient })
        #expect(try module.freeze("head.*") == 2 && module.freeze("*.weight") == 2)
        #expect(module.parameters().map(\.requiresGradient) == [false, true, false, false])
        #expect(try module.unfreeze("*") == 4)
    }

    /// Frozen for two epochs, then trained with its own rate, in every precision; and resumed at every epoch with the same
    /// bits.
    @Test(arguments: Precision.allCases) func theBackboneComesInLater(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        var backbones: [[[UInt8]]] = []
        func fit(_ epochs: Int, _ root: String, _ resume: ResumePoint? = nil, maxSteps: Int? = nil) throws -> [[UInt8]]
        {
            let module = Tuned()
            backbones = [Array(module.bits.prefix(2))]
            let trainer = quietTrainer(maxEpochs: epochs, maxSteps: maxSteps, precision: precision) {
                $0.callbacks = [
                    BackboneFineTuning("backbone.*", unfreezeAtEpoch: 2), ModelCheckpoint(directory: root),
                    LambdaCallback {
                        $0.onTrainEpochEnd = { _, module in backbones.append(Array(module.bits.prefix(2))) }
                        $0.onTrainBatchEnd = { _, _, result, _, _ in
                            #expect(result.learningRates == [1e-2, 1e-3])
                        }
                    },
                ]
            }
            try trainer.fit(module, train: loader(), resume: resume)
            return module.bits
        }
        let whole = try fit(4, directory("whole"))
        #expect(backbones.count == 5 && backbones[1] == backbones[2])
        #expect(backbones[2] != backbones[3] && backbones[3] != backbones[4])
        for steps in [3, 5, 9, 10, 12, 15] {
            let run = directory("\(steps)")
            _ = try fit(4, run, maxSteps: steps)
            #expect(try fit(4, run, .last) == whole, "after \(steps) steps")
        }
        let state = try Checkpoint(directory("whole/last")).optimizer
        #expect(state["0/backbone.0.weight.step"]?.scalars(as: Int64.self) == [10])
        #expect(state["0/head.weight.step"]?.scalars(as: Int64.self) == [20])
    }

    @Test func aPatternThatMatchesNothingIsAnError() {
        let error = #expect(throws: TrainerError.self) {
            try quietTrainer(maxEpochs: 1) { $0.callbacks = [BackboneFineTuning("trunk.*")] }
                .fit(Tuned(), train: loader())
        }
        #expect(error?.description.contains("'trunk.*'") == true && error?.description.contains("head.bias") == true)
    }

    /// A checkpoint's backbone under a new head; whole models by their hyper-parameters; averages where there are any.
    @Test(arguments: Precision.allCases) func checkpointsLoadIntoModels(_ precision: Precision) throws {
        let directory = try TemporaryDirectory()
        let trained = Tuned(classes: 3)
        try quietTrainer(maxEpochs: 1, precision: precision) { $0.rootDirectory = directory.path }
            .fit(trained, train: loader())
        let path = directory("checkpoints/last")
        let whole = try Tuned.load(from: path)
        #expect(whole.bits == trained.bits && whole.hyperparameters == trained.hyperparameters)
        let changed = Tuned(seed: 5, classes: 4)
        let head = changed.head.bits
        let (missing, unexpected) = try changed.load(from: path, except: ["head.*"])
        #expect(missing.isEmpty && unexpected.isEmpty)
        #expect(changed.backbone.bits == trained.backbone.bits)
        #expect(Tuned(seed: 5, classes: 4).head.bits == head)
        // Another head by itself does not fit, strict or not, and changes nothing.
        for strict in [true, false] {
            let other = Tuned(seed: 5, classes: 4)
            #expect(throws: StateDictionaryError.self) { try other.load(from: path, strict: strict) }
            #expect(other.bits == Tuned(seed: 5, classes: 4).bits)
            #expect(other.parameters().allSatisfy { $0.storageType == .float32 && $0.computeType == .float32 })
        }
        let error = #expect(throws: StateDictionaryError.self) { try SmallClassifier().load(from: path) }
        #expect(error?.missing.contains("hidden.weight") == true)
        #expect(throws: CheckpointError.self) { try Tuned().load(from: directory("nowhere")) }
    }

    /// An override of a head that is another one here has nothing to say; those of what is here count.
    @Test func overridesOfWhatIsGoneAreLeftOut() throws {
        let directory = try TemporaryDirectory()
        let trained = Tuned()
        try quietTrainer(maxEpochs: 1, precision: .mixedBFloat16) {
            $0.rootDirectory = directory.path
            $0.precisionOverrides = ["head.*": .float32, "backbone.0.bias": .float16]
        }.fit(trained, train: loader())
        let backbone = Backbone()
        try backbone.load(from: directory("checkpoints/last"), strict: false)
        #expect(backbone.backbone.bits == trained.backbone.bits)
        #expect(backbone.parameters().map(\.computeType) == [.bfloat16, .float16])
    }

    /// A safetensors file with PyTorch's names loads too (`StateDictionaryTests` reads a file that PyTorch has written).
    @Test func safetensorsFilesLoad() throws {
        let directory = try TemporaryDirectory()
        let source = Tuned(seed: 9)
        let file = directory("weights.safetensors")
        try Data(SafeTensorsFile.encode(tensors: source.stateDictionary())).write(to: URL(fileURLWithPath: file))
        let module = Tuned()
        try module.load(from: file)
        #expect(module.bits == source.bits)
        try Data("not safetensors".utf8).write(to: URL(fileURLWithPath: file))
        #expect(throws: SafeTensorsError.self) { try module.load(from: file) }
    }
}

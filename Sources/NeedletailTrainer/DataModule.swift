// Data with all that belongs to it: preparing, splitting, loaders.
public import NeedletailData

/// The data of a run in one place, so that models and data can be exchanged for each other.
///
///     final class DigitsData: DataModule {
///         override func trainLoader() -> DataLoader { DataLoader(Digits.load().train, batchSize: 64, shuffle: true) }
///         override func testLoaders() -> NamedLoaders { NamedLoaders(DataLoader(Digits.load().test, batchSize: 360)) }
///     }
///     try trainer.fit(classifier, DigitsData(), resume: .last)
///
/// In a run, ``prepareData()`` comes first, then ``setup(_:)``, then the loaders that its stage needs, each asked for once.
open class DataModule {
    /// The trainer of the run, nil outside of one.
    public package(set) final weak var trainer: Trainer?

    /// Makes a data module.
    public init() {}

    /// Downloads or unpacks what is not there yet; called before everything else.
    open func prepareData() throws {}
    /// Reads and splits; called at the beginning of each run.
    open func setup(_ stage: Stage) throws {}
    /// Called at the end of each run, also after an error.
    open func teardown(_ stage: Stage) {}

    /// The loader that fit trains on. Must be overridden to fit.
    open func trainLoader() throws -> DataLoader {
        throw TrainerError.notOverridden(type: "\(type(of: self))", method: "trainLoader()")
    }
    /// The loaders of validations; nil for none.
    open func validationLoaders() throws -> NamedLoaders? { nil }
    /// The loaders of a test. Must be overridden to test.
    open func testLoaders() throws -> NamedLoaders {
        throw TrainerError.notOverridden(type: "\(type(of: self))", method: "testLoaders()")
    }
    /// The loaders of a prediction. Must be overridden to predict.
    open func predictLoaders() throws -> NamedLoaders {
        throw TrainerError.notOverridden(type: "\(type(of: self))", method: "predictLoaders()")
    }

    /// The batch as the steps get it, `batch` itself unless overridden; the module's hook of the same name comes after it.
    open func onAfterBatchTransfer(_ batch: Batch, _ index: Int, _ stage: Stage) throws -> Batch { batch }

    /// State that a resumed run needs, nil for none. (Where in an epoch a run stands is kept without it.)
    open func saveState() throws -> JSONValue? { nil }
    /// Takes back what ``saveState()`` returned.
    open func loadState(_ state: JSONValue) throws {}

    /// The key of the state in checkpoints.
    final var stateKey: String { "DataModule(\(type(of: self)))" }
}

/// Loaders that were given without a data module.
final class GivenLoaders: DataModule {
    private let train: DataLoader?
    private let evaluation: NamedLoaders?

    init(train: DataLoader, _ evaluation: NamedLoaders?) {
        self.train = train
        self.evaluation = evaluation
    }

    init(_ evaluation: NamedLoaders) {
        train = nil
        self.evaluation = evaluation
    }

    override func trainLoader() throws -> DataLoader { try train ?? super.trainLoader() }
    override func validationLoaders() throws -> NamedLoaders? { evaluation }
    override func testLoaders() throws -> NamedLoaders { try evaluation ?? super.testLoaders() }
    override func predictLoaders() throws -> NamedLoaders { try evaluation ?? super.predictLoaders() }
}

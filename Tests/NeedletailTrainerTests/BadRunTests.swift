// What modules, data and schedules do wrong is a thrown error, not the end of the program.
import Foundation
import Needletail
import Testing

/// A loss that cannot be trained on.
enum LossFault: String, CaseIterable {
    case row, empty, detached, constant, integer, derivative

    func apply(_ loss: Tensor, _ module: SmallClassifier) -> Tensor {
        switch self {
        case .row: return loss * Tensor([1, 1, 1] as [Float])
        case .empty: return loss * Tensor([] as [Float])
        case .detached: return loss.detached()
        case .constant: return Tensor([Float(1)], shape: [])
        case .integer: return Tensor([Int64(1)], shape: [])
        case .derivative:
            let x = Tensor([1, 2] as [Float]).trackingGradient()
            let slope = gradients(of: (x * x).sum(), withRespectTo: [x])[0]
            return loss + slope.sum()
        }
    }
}

/// A classifier whose losses are bad from some call on.
private final class FaultyLoss: SmallClassifier {
    let fault: LossFault
    let from: Int
    var calls = 0

    init(_ fault: LossFault, from: Int = 0) {
        (self.fault, self.from) = (fault, from)
        super.init()
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        calls += 1
        let loss = try crossEntropy(logits(batch), batch.targets)
        return calls > from ? fault.apply(loss, self) : loss
    }
}

@Suite struct BadRunTests {
    private let five = DataLoader(Points(20), batchSize: 4)

    private func expectBadLoss(_ fault: LossFault, _ what: String, _ body: () throws -> Void) {
        let error = #expect(throws: TrainerError.self, "\(fault) \(what)") { try body() }
        switch error {
        case .badLoss(0, _)?: break
        case .badBatch(let found)? where fault == .derivative: #expect(found.why.contains("second derivatives"))
        default: Issue.record("\(fault) \(what): \(error as Any)")
        }
    }

    /// From the first step and from a later one, wherever a loss is used.
    @Test(arguments: LossFault.allCases) func aLossThatCannotBeTrainedOn(_ fault: LossFault) throws {
        // What follows the first batch is not looked at before backward: a graph with a second derivative in it ends there.
        for from in fault == .derivative ? [0] : [0, 1, 3] {
            for window in [1, 2] {
                expectBadLoss(fault, "from \(from), windows of \(window)") {
                    try quietTrainer(maxEpochs: 1) { $0.accumulateGradBatches = window }.fit(
                        FaultyLoss(fault, from: from), train: five)
                }
            }
            for callback in [LearningRateFinder(), BatchSizeFinder(4...4), ShadowPrecision(every: 1)] {
                expectBadLoss(fault, "from \(from) with \(type(of: callback))") {
                    try quietTrainer(maxEpochs: 1) { $0.callbacks = [callback] }.fit(
                        FaultyLoss(fault, from: from), train: five)
                }
            }
            expectBadLoss(fault, "from \(from), precision auto") {
                try Trainer(maxEpochs: 1, precision: .auto) {
                    $0.enableProgressBar = false
                    $0.enableModelSummary = false
                    $0.autoPrecision = ({ 0 }, Console(isTerminal: false) { _ in })
                }.fit(FaultyLoss(fault, from: from), train: five)
            }
        }
        expectBadLoss(fault, "findLearningRate") {
            _ = try quietTrainer(maxEpochs: 1).findLearningRate(FaultyLoss(fault), five)
        }
        if [.row, .empty, .integer].contains(fault) {
            expectBadLoss(fault, "autopsy") {
                _ = try quietTrainer(maxEpochs: 1).autopsy(
                    FaultyLoss(fault), Points(4).batch([0, 1, 2, 3], dtype: .float32))
            }
        }
    }

    /// The second of two optimizers, and a step whose loss goes wrong when it is run again for an autopsy.
    @Test func otherPlacesOfALoss() throws {
        final class Two: SmallClassifier {
            override func trainingStep(_ batch: Batch, _ index: Int, optimizer: Int) throws -> Tensor {
                let loss = try crossEntropy(logits(batch), batch.targets)
                return optimizer == 1 ? loss.detached() : loss
            }
        }
        let two = Two()
        two.makeOptimizers = { [SGD($0.head.parameters()), SGD($0.hidden.parameters())] }
        let error = #expect(throws: TrainerError.self) { try quietTrainer(maxEpochs: 1).fit(two, train: five) }
        guard case .badLoss(1, _)? = error else {
            Issue.record("\(error as Any)")
            return
        }
        final class Once: SmallClassifier {
            var calls = 0
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                calls += 1
                let loss = try crossEntropy(logits(batch), batch.targets)
                return calls == 1 ? loss * Double.infinity : loss * Tensor([1, 1] as [Float])
            }
        }
        #expect(throws: TrainingDiverged.self) {
            try quietTrainer(maxEpochs: 1) { $0.nonFinite = .throw }.fit(Once(), train: five)
        }
    }

    // MARK: Batches

    /// Batches whose third one is of another width, of another number of targets, or of tokens that there are none of.
    struct Changing: Dataset {
        enum Change: CaseIterable { case width, targets, token }
        let change: Change
        let count = 20

        func batch(_ indices: [Int], dtype: DType) throws -> Batch {
            let isChanged = indices.contains(8)
            let rows = indices.count
            if change == .token {
                let tokens = indices.map { Int64(isChanged && $0 == 8 ? 70 : $0 % 7) }
                return Batch(inputs: Tensor(tokens, shape: [rows, 1]), targets: Tensor.zeros([rows], dtype: .int64))
            }
            let width = change == .width && isChanged ? 5 : 6
            let inputs = Tensor.ones([rows, width], dtype: dtype)
            let shape = change == .targets && isChanged ? [rows, 2] : [rows]
            return Batch(inputs: inputs, targets: Tensor.zeros(shape, dtype: .int64))
        }
    }

    private final class Tokens: SmallClassifier {
        let table: Embedding
        init() {
            var generator = SeededGenerator(seed: 1)
            table = Embedding(7, 6, using: &generator)
            super.init()
        }
        override func logits(_ batch: Batch) -> Tensor { head(hidden(table(batch.inputs).flattened(from: 1))) }
    }

    @Test(arguments: Changing.Change.allCases, [0, 2]) func aLaterBatchThatDoesNotFit(
        _ change: Changing.Change, _ prefetch: Int
    ) {
        let loader = DataLoader(Changing(change: change), batchSize: 4, prefetch: prefetch)
        func module() -> SmallClassifier { change == .token ? Tokens() : SmallClassifier() }
        for (what, run): (String, (Trainer) throws -> Void) in [
            ("training", { try $0.fit(module(), train: loader) }),
            (
                "validation",
                { try $0.fit(module(), train: DataLoader(Fitting(change), batchSize: 4), validation: loader) }
            ),
            ("test", { try $0.test(module(), loader) }), ("validation", { try $0.validate(module(), loader) }),
        ] {
            let error = #expect(throws: (any Error).self, "\(change) \(what)") { try run(quietTrainer(maxEpochs: 1)) }
            switch error {
            case TrainerError.badBatch(let found)?: #expect(found.batch == 2 && found.stage == what, "\(error as Any)")
            case is TargetError?, is ShapeError?: #expect(change == .targets)
            default: Issue.record("\(change) \(what): \(error as Any)")
            }
        }
    }

    /// The same without a change.
    private struct Fitting: Dataset {
        let changing: Changing
        let count = 8
        init(_ change: Changing.Change) { changing = Changing(change: change) }
        func batch(_ indices: [Int], dtype: DType) throws -> Batch { try changing.batch(indices, dtype: dtype) }
    }

    /// Datasets that throw, give other samples than they are asked for, or call something wrongly.
    struct Faulty: Dataset {
        enum Fault: CaseIterable { case throwing, tooMany, tooFew, trap }
        let fault: Fault
        let count = 20

        func batch(_ indices: [Int], dtype: DType) throws -> Batch {
            let points = Points(40)
            guard indices.contains(8) else { return try points.batch(indices, dtype: dtype) }
            switch fault {
            case .throwing: throw StepFailure()
            case .tooMany: return try points.batch(indices + [3], dtype: dtype)
            case .tooFew: return try points.batch([8], dtype: dtype)
            case .trap: return Batch(inputs: .ones([4, 6]), targets: .zeros([3], dtype: .int64))
            }
        }
    }

    @Test(arguments: Faulty.Fault.allCases, [0, 2]) func aDatasetThatFails(_ fault: Faulty.Fault, _ prefetch: Int) {
        let loader = DataLoader(Faulty(fault: fault), batchSize: 4, prefetch: prefetch)
        let word =
            switch fault {
            case .throwing: "StepFailure"
            case .tooMany: "found 5 samples, expected 4"
            case .tooFew: "found 1 samples, expected 4"
            case .trap: "inputs [4, 6] and targets [3]"
            }
        for run: (Trainer) throws -> Void in [
            { try $0.fit(SmallClassifier(), train: loader) }, { try $0.test(SmallClassifier(), loader) },
        ] {
            let error = #expect(throws: (any Error).self) { try run(quietTrainer(maxEpochs: 1)) }
            #expect("\(error as Any)".contains(word), "\(error as Any)")
            if fault != .throwing { #expect((error as? DatasetError)?.batch == 2) }
        }
    }

    // MARK: What is logged

    @Test func whatCannotBeLoggedIsThrown() {
        final class Logging: SmallClassifier {
            enum Place: CaseIterable { case step, batchEnd, epochStart, epochEnd, validation, validationEnd, test }
            var place = Place.step
            var record: (SmallClassifier) -> Void = { _ in }
            private func log(at here: Place) { if here == place { record(self) } }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                if index == 1 { log(at: .step) }
                return try super.trainingStep(batch, index)
            }
            override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) { log(at: .batchEnd) }
            override func onTrainEpochStart() { log(at: .epochStart) }
            override func onTrainEpochEnd() { log(at: .epochEnd) }
            override func validationStep(_ batch: Batch, _ index: Int) throws { log(at: .validation) }
            override func onValidationEpochEnd() { log(at: .validationEnd) }
            override func testStep(_ batch: Batch, _ index: Int) throws { log(at: .test) }
        }
        for place in Logging.Place.allCases {
            for (word, record): (String, (SmallClassifier) -> Void) in [
                ("has no name", { $0.log("", 1) }), ("weight nan", { $0.log("x", 1, weight: .nan) }),
                ("weight -1", { $0.log("x", 1, weight: -1) }), ("shape [2]", { $0.log("x", Tensor.ones([2])) }),
            ] {
                let module = Logging()
                (module.place, module.record) = (place, record)
                let error = #expect(throws: TrainerError.self, "\(place) \(word)") {
                    let trainer = quietTrainer(maxEpochs: 1)
                    try trainer.fit(module, train: five, validation: five)
                    try trainer.test(module, five)
                }
                #expect("\(error as Any)".contains(word), "\(place): \(error as Any)")
            }
        }
    }

    // MARK: Modules

    @Test func whatModulesAndOptimizersDoWrong() throws {
        final class Twice: SmallClassifier {
            override func members() -> [ModuleMember] {
                super.members() + [.parameter("head.weight", Parameter(.ones([1])))]
            }
        }
        final class Idle: Optimizer {}
        let other = SmallClassifier()
        other.nameParameters()
        let makes: [(String, (SmallClassifier) -> [Optimizer])] = [
            ("expected", { [Adam(groups: [ParameterGroup($0.parameters(), SGD.Options())])] }),
            ("update functions", { [Idle(groups: [ParameterGroup($0.parameters(), SGD.Options())])] }),
            ("learningRate: found nan", { [Adam($0.parameters(), learningRate: .nan)] }),
            ("two parameters of the name head.weight", { [Adam($0.parameters() + other.head.parameters())] }),
        ]
        for (word, make) in makes {
            let module = SmallClassifier()
            module.makeOptimizers = make
            let error = #expect(throws: TrainerError.self) { try quietTrainer(maxEpochs: 1).fit(module, train: five) }
            #expect("\(error as Any)".contains(word), "\(error as Any)")
        }
        for run: (Trainer) throws -> Void in [
            { try $0.fit(Twice(), train: five) }, { try $0.test(Twice(), five) },
        ] {
            let error = #expect(throws: TrainerError.self) { try run(quietTrainer(maxEpochs: 1)) }
            #expect("\(error as Any)".contains("two parameters are named 'head.weight'"), "\(error as Any)")
        }
        for rate in [BackboneFineTuning.Rate.ratio(.nan), .value(-1), .ratio(.infinity)] {
            let error = #expect(throws: TrainerError.self) {
                try quietTrainer(maxEpochs: 1) { $0.callbacks = [BackboneFineTuning("hidden.*", rate: rate)] }.fit(
                    SmallClassifier(), train: five)
            }
            #expect("\(error as Any)".contains("the rate is"))
        }
    }

    /// Sizes that no layer takes, in a checkpoint's hyper-parameters.
    @Test func hyperparametersThatNoLayerTakes() throws {
        final class Built: TrainingModule, HyperparameterInitializable {
            let layer: Linear
            init(hyperparameters: [String: JSONValue]) throws {
                var generator = SeededGenerator(seed: 1)
                guard case .integer(let size)? = hyperparameters["size"] else { throw StepFailure() }
                layer = Linear(6, Int(size), using: &generator)
            }
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                try crossEntropy(layer(batch.inputs), batch.targets)
            }
            override func configureOptimizers() -> [Optimizer] { [SGD(parameters(), learningRate: 0.1)] }
        }
        let directory = try TemporaryDirectory()
        let module = try Built(hyperparameters: ["size": 3])
        module.hyperparameters = ["size": -3]
        try quietTrainer(maxEpochs: 1) { $0.callbacks = [ModelCheckpoint(directory: directory.path)] }.fit(
            module, train: five)
        let error = #expect(throws: CheckpointError.self) { try Built.load(from: directory("last")) }
        #expect("\(error as Any)".contains("its hyper-parameters: Linear(6, -3)"), "\(error as Any)")
    }

    // MARK: Schedules

    private struct Broken: LearningRateSchedule {
        let rate: Double, from: Int
        func learningRate(base: Double, after count: Int) -> Double { count < from ? base : rate }
        func validate() throws(ScheduleError) {}
    }

    private final class Scheduled: SmallClassifier {
        var rate = 0.0, from = 0, interval = Scheduler.Interval.step
        override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
            [try Scheduler(Broken(rate: rate, from: from), of: optimizers[0], every: interval)]
        }
    }

    @Test(arguments: [Double.nan, .infinity, -1], [0, 1, 3]) func aScheduleWithoutARate(_ rate: Double, _ from: Int) {
        for interval in [Scheduler.Interval.step, .epoch] {
            let module = Scheduled()
            (module.rate, module.from, module.interval) = (rate, from, interval)
            let error = #expect(throws: ScheduleError.self) { try quietTrainer(maxEpochs: 5).fit(module, train: five) }
            #expect("\(error as Any)".contains("the rate after \(from): found \(rate)"), "\(error as Any)")
        }
    }

    /// Limits that nobody can reach are limits all the same.
    @Test func hugeOptionsDoNotOverflow() throws {
        final class Planning: SmallClassifier {
            override func configureSchedules(for optimizers: [Optimizer]) throws -> [Scheduler] {
                [try Scheduler(CosineAnnealing(steps: trainer?.plannedSteps ?? 1), of: optimizers[0])]
            }
        }
        for configure: (inout TrainerConfiguration) -> Void in [
            { $0.maxEpochs = .max }, { $0.accumulateGradBatches = .max }, { $0.logEveryNSteps = .max },
            { $0.limitTrainBatches = .count(.max) }, { $0.checkValEveryNEpochs = .max },
            { $0.numSanityValSteps = .max },
            { $0.callbacks = [GradientAccumulationScheduler([0: .max, .max: 1])] },
            { $0.maxTime = .seconds(Int64.max) },
        ] {
            let trainer = quietTrainer(maxEpochs: 2, maxSteps: 1, configure)
            try trainer.fit(Planning(), train: five, validation: five)
            #expect(trainer.state.globalStep == 1)
        }
        try quietTrainer(maxEpochs: 1).fit(Planning(), train: DataLoader(Points(20), batchSize: .max, dropLast: false))
    }
}

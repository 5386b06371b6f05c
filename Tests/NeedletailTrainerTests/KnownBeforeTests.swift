// What is known before the first step is said before the first step: no hook of an epoch and no step has then been called.
import Foundation
import Needletail
import Testing

/// A limit of batches, and the runs that it limits.
struct LimitCase: Sendable, CustomTestStringConvertible {
    let option: String
    let stage: Stage
    /// Whether the stage is a part of fit.
    var isFit = false
    let set: @Sendable (inout TrainerConfiguration, BatchLimit) -> Void

    var testDescription: String { "\(option) in \(isFit ? "fit" : stage.rawValue)" }

    static let all = [
        LimitCase(option: "limitTrainBatches", stage: .fit, isFit: true) { $0.limitTrainBatches = $1 },
        LimitCase(option: "overfitBatches", stage: .fit, isFit: true) { $0.overfitBatches = $1 },
        LimitCase(option: "limitValBatches", stage: .validate, isFit: true) { $0.limitValBatches = $1 },
        LimitCase(option: "limitValBatches", stage: .validate) { $0.limitValBatches = $1 },
        LimitCase(option: "overfitBatches", stage: .validate) { $0.overfitBatches = $1 },
        LimitCase(option: "limitTestBatches", stage: .test) { $0.limitTestBatches = $1 },
        LimitCase(option: "limitPredictBatches", stage: .predict) { $0.limitPredictBatches = $1 },
    ]

    /// Runs the stage on `loader`; the other loader of a fit has five batches.
    func run(_ loader: DataLoader, _ limit: BatchLimit?, isOneOfTwo: Bool = false) throws -> (
        events: String, notices: [String]
    ) {
        let module = RecordingClassifier()
        let trainer = quietTrainer(maxEpochs: 1) { if let limit { set(&$0, limit) } }
        let good = DataLoader(Points(20), batchSize: 4)
        let loaders: NamedLoaders = isOneOfTwo ? ["clean": good, "noisy": loader] : NamedLoaders(loader)
        do {
            switch stage {
            case .fit: try trainer.fit(module, train: loader, validation: good)
            case .validate where isFit: try trainer.fit(module, train: good, validation: loaders)
            case .validate: try trainer.validate(module, loaders)
            case .test: try trainer.test(module, loaders)
            case .predict: _ = try trainer.predict(module, loaders)
            }
        } catch {
            #expect(module.line == "", "\(testDescription): \(error)")
            throw error
        }
        return (module.line, trainer.notices)
    }

    /// The error of such a run.
    func error(_ loader: DataLoader, _ limit: BatchLimit?, isOneOfTwo: Bool = false) -> String {
        let error = #expect(throws: TrainerError.self, "\(testDescription)") {
            try run(loader, limit, isOneOfTwo: isOneOfTwo)
        }
        return error?.description ?? ""
    }
}

@Suite struct KnownBeforeTests {
    private let five = DataLoader(Points(20), batchSize: 4)

    // MARK: Batches

    @Test(arguments: LimitCase.all) func aShareThatGivesNoBatch(_ limit: LimitCase) {
        let error = limit.error(five, 0.01)
        for word in ["\(limit.option) is 0.01", "none of the 5 batches", "at least 0.2"] {
            #expect(error.contains(word), "\(error)")
        }
        #expect(error.contains(limit.stage == .fit ? "training loader" : "\(limit.noun) loader"), "\(error)")
        guard limit.stage != .fit else { return }
        let other = limit.error(DataLoader(Points(8), batchSize: 4), 0.3, isOneOfTwo: true)
        #expect(other.contains("\(limit.noun) 'noisy' loader") && other.contains("2 batches"), "\(other)")
    }

    @Test(arguments: LimitCase.all) func aLoaderWithoutBatches(_ limit: LimitCase) {
        let cases = [
            (DataLoader(Points(0), batchSize: 4), "0 samples"),
            (
                DataLoader(Points(3), batchSize: 4, dropLast: true),
                "3 samples are fewer than a batch of 4, and dropLast"
            ),
            (DataLoader(Points(1), batchSize: 4, dropLast: true), "1 sample is fewer than a batch of 4, and dropLast"),
        ]
        for (loader, why) in cases {
            for given in [nil, 1, 0.5] as [BatchLimit?] {
                let error = limit.error(loader, given)
                #expect(
                    error == "the \(limit.noun) loader has no batch: \(error.components(separatedBy: ": ").last ?? "")")
                #expect(error.contains(why), "\(error)")
            }
            guard limit.stage != .fit else { continue }
            let error = limit.error(loader, nil, isOneOfTwo: true)
            #expect(error.contains("\(limit.noun) 'noisy'") && error.contains(why), "\(error)")
        }
    }

    /// 0 asks for none: there is nothing to train on then, but other stages can do without.
    @Test(arguments: LimitCase.all, [0, 0.0] as [BatchLimit]) func noneAtAll(_ limit: LimitCase, _ none: BatchLimit)
        throws
    {
        if limit.stage == .fit {
            #expect(limit.error(five, none) == "\(limit.option) is \(none), expected at least one batch to train on")
            return
        }
        let (events, notices) = try limit.run(five, none)
        if limit.isFit {
            #expect(events == "| t0 t1 t2 t3 t4" && notices.isEmpty)
        } else {
            #expect(events == "" && notices == ["there is no \(limit.noun): \(limit.option) is \(none)"])
            // What cannot be is no error where it is not wanted.
            #expect(throws: Never.self) { try limit.run(DataLoader(Points(0), batchSize: 4), none) }
        }
    }

    /// The share that an error names gives a batch, whatever their number, and is not far above the least.
    @Test func theShareThatAnErrorNamesIsEnough() throws {
        for count in Array(1...600) + [997, 4999, 65_537, 999_983] {
            let loaders = NamedLoaders(DataLoader(Counted(count: count), batchSize: 1))
            func check(_ share: Double) throws {
                try quietTrainer { $0.limitTestBatches = .fraction(share) }.checkBatches(of: .test, loaders)
            }
            let error = #expect(throws: TrainerError.self) { try check(1e-9) }
            let text = try #require("\(error as Any)".firstMatch(of: /at least ([0-9.e-]+),/)?.1)
            let share = try #require(Double(text))
            #expect(throws: Never.self, "\(count): \(share)") { try check(share) }
            #expect(share < 1.1 / Double(count) || count == 1)
        }
    }

    @Test func loadersNeedDifferentNames() {
        for (loaders, word) in [
            (NamedLoaders([]), "none"), (NamedLoaders([("a", five), ("a", five)]), "[\"a\", \"a\"]"),
            (NamedLoaders([("", five), ("a", five)]), "not empty"),
        ] {
            for run: (Trainer, RecordingClassifier) throws -> Void in [
                { try $0.fit($1, train: five, validation: loaders) }, { try $0.validate($1, loaders) },
                { try $0.test($1, loaders) }, { _ = try $0.predict($1, loaders) },
            ] {
                let module = RecordingClassifier()
                let error = #expect(throws: TrainerError.self) { try run(quietTrainer(maxEpochs: 1), module) }
                #expect("\(error as Any)".contains(word) && module.line == "", "\(error as Any)")
            }
        }
    }

    @Test func aDataModuleWithoutLoadersIsAnError() {
        final class Nothing: DataModule {}
        for (run, word): ((Trainer, SmallClassifier) throws -> Void, String) in [
            ({ try $0.fit($1, Nothing()) }, "trainLoader()"),
            ({ try $0.validate($1, Nothing()) }, "validationLoaders()"),
            ({ try $0.test($1, Nothing()) }, "testLoaders()"),
            ({ _ = try $0.predict($1, Nothing()) }, "predictLoaders()"),
        ] {
            let error = #expect(throws: TrainerError.self) { try run(quietTrainer(maxEpochs: 1), SmallClassifier()) }
            #expect("\(error as Any)".contains(word), "\(error as Any)")
        }
    }

    // MARK: Validations

    @Test func anIntervalLongerThanAnEpochIsKnown() throws {
        let directory = try TemporaryDirectory()
        func fit(_ interval: BatchLimit, epochs: Int, _ resume: ResumePoint? = nil) throws -> RecordingClassifier {
            let module = RecordingClassifier()
            defer { lines.append(module.line) }
            try quietTrainer(maxEpochs: epochs) {
                $0.valCheckInterval = interval
                $0.callbacks = [ModelCheckpoint(directory: directory.path)]
            }.fit(module, train: five, validation: five, resume: resume)
            return module
        }
        var lines: [String] = []
        let error = #expect(throws: TrainerError.self) { try fit(6, epochs: 1) }
        #expect("\(error as Any)".contains("valCheckInterval is 6 batches of 5 in an epoch, expected at most 5"))
        _ = try fit(5, epochs: 1)
        #expect(throws: TrainerError.self) { try fit(6, epochs: 2, .last) }
        #expect(lines.first == "" && lines.last == "")
    }

    @Test func validationsThatNeverComeAreTold() throws {
        for (every, epochs, isTold) in [(3, 2, true), (2, 2, false), (1, 2, false)] {
            let trainer = quietTrainer(maxEpochs: epochs) { $0.checkValEveryNEpochs = every }
            try trainer.fit(SmallClassifier(), train: five, validation: five)
            #expect(
                trainer.notices.contains { $0.contains("no validation comes: checkValEveryNEpochs is 3") } == isTold)
        }
    }

    // MARK: Nothing left

    /// A resumed run with nothing left says which of its limits has been reached, and does nothing else.
    @Test(arguments: [
        "maxEpochs", "maxSteps", "maxTime", "maxEpochs maxSteps", "maxEpochs maxSteps maxTime", "fastDevRun",
    ])
    func aResumedRunWithNothingLeft(_ limits: String) throws {
        let directory = try TemporaryDirectory()
        func fit(_ resume: ResumePoint?, _ limits: [String]) throws -> (Trainer, RecordingClassifier) {
            var now = 0.0
            let timer = TrainingTimer(.seconds(5)) {
                now += 1
                return now
            }
            let module = RecordingClassifier()
            let trainer = quietTrainer(
                maxEpochs: limits.contains("maxEpochs") ? 1 : 9, maxSteps: limits.contains("maxSteps") ? 5 : nil
            ) {
                if limits.contains("maxTime") { $0.callbacks.append(timer) }
                if limits.contains("fastDevRun") { $0.fastDevRun = 2 }
                $0.optionNames = ["maxEpochs": "--epochs", "maxSteps": "--steps", "fastDevRun": "--fast"]
                $0.callbacks.append(ModelCheckpoint(directory: directory.path))
            }
            try trainer.fit(module, train: five, validation: five, resume: resume)
            return (trainer, module)
        }
        let limits = limits.split(separator: " ").map(String.init)
        let isTimed = limits.contains("maxTime")
        _ = try fit(nil, isTimed ? ["maxEpochs", "maxSteps", "maxTime"] : ["maxEpochs"])
        let (trainer, module) = try fit(.path(directory("last")), limits)
        #expect(module.line == "", "neither a sanity check nor an epoch")
        let told = trainer.notices.filter { $0.contains("nothing is left to train") }
        #expect(told.count == 1, "\(trainer.notices)")
        let words = [
            "maxEpochs": "--epochs is 1; to go on, raise it", "maxSteps": "5 steps and --steps is 5",
            "maxTime": "a timer is 5.0 seconds", "fastDevRun": "--fast is 2",
        ]
        for (limit, word) in words where !isTimed || limits == ["maxTime"] {
            #expect(told.first?.contains(word) == limits.contains(limit), "\(limit): \(told)")
        }
    }

    @Test func aNewRunOfNothingIsSaid() throws {
        for (word, configure): (String, (inout TrainerConfiguration) -> Void) in [
            ("maxEpochs is 0", { $0.maxEpochs = 0 }), ("maxSteps is 0", { $0.maxSteps = 0 }),
            ("maxTime is 0.0 seconds", { $0.maxTime = .zero }),
        ] {
            let module = RecordingClassifier()
            let trainer = quietTrainer(maxEpochs: 2, configure)
            try trainer.fit(module, train: five, validation: five)
            #expect(module.line == "" && trainer.notices.count == 1, "\(trainer.notices)")
            #expect(trainer.notices.first?.contains("nothing is trained: \(word)") == true, "\(trainer.notices)")
        }
    }

    // MARK: Nothing to train

    @Test func anOptimizerWithNothingToTrain() throws {
        let other = SmallClassifier()
        for (make, word): ((SmallClassifier) -> [Optimizer], String) in [
            (
                { _ in [Adam([])] },
                "optimizer 0 of configureOptimizers() has no parameters, expected some of the module's"
            ),
            ({ [Adam($0.parameters()), SGD([])] }, "optimizer 1"),
            ({ _ in [] }, "returned no optimizer"),
            ({ _ in [Adam(other.parameters())] }, "none is the module's, expected some of: hidden.weight"),
            ({ [Adam($0.parameters() + $0.parameters())] }, "was given to the optimizer twice"),
            ({ [Adam($0.parameters()), SGD($0.head.parameters())] }, "parameter head.weight belongs to"),
            (
                {
                    $0.freeze(); return [Adam($0.parameters())]
                }, "has nothing to train: all of its parameters are frozen"
            ),
            (
                {
                    $0.head.freeze(); return [Adam($0.head.parameters())]
                }, "frozen, head.weight, head.bias; unfreeze some"
            ),
        ] {
            for callbacks in [[], [LearningRateFinder()], [BatchSizeFinder(4...4)]] as [[Callback]] {
                let module = RecordingClassifier()
                module.makeOptimizers = make
                let error = #expect(throws: TrainerError.self) {
                    try quietTrainer(maxEpochs: 1) {
                        $0.callbacks = callbacks
                        $0.numSanityValSteps = 0
                    }.fit(module, train: five)
                }
                guard callbacks.isEmpty else { continue }
                #expect("\(error as Any)".contains(word), "\(error as Any)")
                #expect(module.events.filter { $0 != "|" } == [])
            }
        }
    }

    /// Parameters outside of the module are trained, and told of.
    @Test func foreignParametersAreToldOf() throws {
        let module = SmallClassifier(), stray = Parameter(.ones([7]))
        module.makeOptimizers = { [Adam($0.parameters() + [stray])] }
        let trainer = quietTrainer(maxEpochs: 1)
        try trainer.fit(module, train: five)
        #expect(trainer.notices.count == 1 && trainer.notices[0].contains("trains 1 of its 5 parameters outside"))
        #expect(trainer.notices[0].contains("[7]"))
    }

    @Test func patternsThatMatchNothingAreErrors() throws {
        let module = SmallClassifier()
        for body: () throws -> Void in [
            { try module.freeze("typo.*") }, { try module.unfreeze("typo.*") },
            { try module.load(stateDictionary: [:], except: ["*", "typo.*"], strict: false) },
            {
                var generator = SeededGenerator(seed: 1)
                try module.addLowRankAdapters(to: ["head", "typo.*"], rank: 1, alpha: 1, using: &generator)
            },
        ] {
            let error = #expect(throws: PatternError.self) { try body() }
            #expect("\(error as Any)".contains("'typo.*' matches no") && "\(error as Any)".contains("head"))
        }
        #expect(module.parameters().allSatisfy { !$0.isFrozen } && module.head.adapter == nil)
        for configure: (inout TrainerConfiguration) -> Void in [
            { $0.callbacks = [BackboneFineTuning("typo.*")] }, { $0.precisionOverrides = ["typo.*": .float32] },
        ] {
            let module = RecordingClassifier()
            let error = #expect(throws: (any Error).self) {
                try quietTrainer(maxEpochs: 1, configure).fit(module, train: five, validation: five)
            }
            #expect("\(error as Any)".contains("'typo.*'") && "\(error as Any)".contains("head"), "\(error as Any)")
            #expect(module.line == "")
        }
    }

    // MARK: Names

    @Test func optionsHaveTheNamesThatTheirUsersGive() throws {
        let names = [
            "limitTestBatches": "--limit-test-batches (from run.yaml)", "minSteps": "--min", "maxSteps": "--max",
        ]
        let limit = #expect(throws: TrainerError.self) {
            try quietTrainer { $0.limitTestBatches = 0.01 }.test(SmallClassifier(), five)
        }
        #expect(limit?.text(naming: names).hasPrefix("--limit-test-batches (from run.yaml) is 0.01, which") == true)
        #expect(limit?.description.hasPrefix("limitTestBatches is 0.01, which") == true)
        let least = #expect(throws: TrainerError.self) {
            try quietTrainer(maxSteps: 3) { $0.minSteps = 4 }.fit(SmallClassifier(), train: five)
        }
        #expect(least?.text(naming: names) == "--min is 4, expected at most --max, 3")
        let interval = #expect(throws: TrainerError.self) {
            try quietTrainer(maxEpochs: 1) { $0.valCheckInterval = 6 }.fit(
                SmallClassifier(), train: five, validation: five)
        }
        #expect(interval?.description.contains("checkValEveryNEpochs = nil") == true)
        #expect(interval?.text(naming: names).hasSuffix("expected at most 5") == true, "which only Swift can say")
        #expect(TrainerError.noLimit.text(naming: names) == "fit needs a limit: give maxEpochs, --max or maxTime")
    }
}

extension LimitCase {
    var noun: String {
        switch stage {
        case .fit: "training"
        case .validate: "validation"
        case .test: "test"
        case .predict: "prediction"
        }
    }
}

/// So many samples that are never asked for.
private struct Counted: Dataset {
    let count: Int
    func batch(_ indices: [Int], dtype: DType) throws -> Batch { throw StepFailure() }
}

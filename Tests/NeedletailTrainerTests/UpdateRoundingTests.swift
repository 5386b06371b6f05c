import Foundation
import Needletail
import Testing

@Suite struct UpdateRoundingTests {
    /// Writes down, before each update, how many gradient elements are not zero, and of how many.
    private final class GradientCounter: Callback {
        var nonZero: [Int] = []
        var elements = 0
        override func onBeforeOptimizerStep(
            _ trainer: Trainer, _ module: TrainingModule, _ optimizer: Optimizer, _ gradients: UnscaledGradients
        ) {
            let all = optimizer.parameters.compactMap { gradients[$0] }
            elements = all.reduce(0) { $0 + $1.count }
            nonZero.append(all.reduce(0) { $0 + $1.scalars(as: Float.self).count { $0 != 0 } })
        }
    }

    /// Saves a checkpoint after each step, under its number.
    private final class SaveEveryStep: Callback {
        let directory: String
        init(_ directory: String) { self.directory = directory }
        override var runsLast: Bool { true }
        override func onTrainBatchEnd(
            _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
        ) throws {
            try trainer.saveCheckpoint(to: directory + "/\(trainer.state.globalStep)")
        }
    }

    /// With a learning rate of 1e-9 every update is below the rounding: the share that is lost is that of non-zero gradients.
    /// It is logged in the steps that are logged, and in the true 16-bit modes only.
    @Test(arguments: Precision.allCases) func lostUpdatesAreLogged(_ precision: Precision) throws {
        let logger = MemoryLogger(), counter = GradientCounter()
        let module = SmallClassifier()
        module.makeOptimizers = { [SGD($0.parameters(), learningRate: 1e-9)] }
        let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
            $0.logEveryNSteps = 2
            $0.loggers = [logger]
            $0.callbacks = [counter]
        }
        try trainer.fit(module, train: DataLoader(Points(20), batchSize: 4))
        let logged = logger.values(of: "updates_lost")
        guard precision == .bfloat16 || precision == .float16 else {
            #expect(logged.isEmpty && trainer.metrics["updates_lost"] == nil)
            return
        }
        #expect(logged.map(\.step) == [2, 4])
        let shares = counter.nonZero.map { Double($0) / Double(counter.elements) }
        #expect(shares[1] > 0.2, "the test must lose updates")
        #expect(logged.map(\.value) == [shares[1], shares[3]])
    }

    @Test func theConfigurationReachesEveryOptimizerAndNilLeavesThemAlone() throws {
        let module = SmallClassifier()
        var made: [Optimizer] = []
        module.makeOptimizers = {
            made = [SGD($0.hidden.parameters()), AdamW($0.head.parameters())]
            made[1].updateRounding = .kahan
            return made
        }
        let loader = DataLoader(Points(8), batchSize: 4)
        try quietTrainer(maxSteps: 1, precision: .bfloat16).fit(module, train: loader)
        #expect(made.map(\.updateRounding) == [.nearest, .kahan])
        let trainer = quietTrainer(maxSteps: 1, precision: .bfloat16) { $0.updateRounding = .stochastic(seed: 4) }
        try trainer.fit(module, train: loader)
        #expect(made.map(\.updateRounding) == [.stochastic(seed: 4), .stochastic(seed: 4)])
        #expect(trainer.notices.isEmpty)

        let wide = quietTrainer(maxSteps: 1, precision: .mixedBFloat16) { $0.updateRounding = .kahan }
        try wide.fit(module, train: loader)
        #expect(wide.notices.count == 1 && wide.notices[0].contains("updateRounding"))
    }

    @Test(arguments: [Precision.bfloat16, .float16], [UpdateRounding.stochastic(seed: 11), .kahan])
    func resumingAfterAnyStepGivesTheSameBytes(_ precision: Precision, _ rounding: UpdateRounding) throws {
        let directory = try TemporaryDirectory()
        func fit(_ root: String, resume: ResumePoint? = nil, given: UpdateRounding?, _ extra: [Callback] = []) throws
            -> Trainer
        {
            let module = SmallClassifier()
            module.makeOptimizers = { [AdamW($0.parameters(), learningRate: 1e-3)] }
            let trainer = quietTrainer(maxEpochs: 2, precision: precision) {
                $0.updateRounding = given
                $0.callbacks = extra + [ModelCheckpoint(directory: root)]
            }
            try trainer.fit(module, train: DataLoader(Points(14), batchSize: 4, shuffle: true, seed: 3), resume: resume)
            return trainer
        }
        func content(_ path: String) -> [[UInt8]] {
            ["model.safetensors", "optimizer.safetensors", "state.json"].map { bytes(path + "/" + $0) }
        }
        _ = try fit(directory("whole"), given: rounding, [SaveEveryStep(directory("steps"))])
        let whole = content(directory("whole/last"))
        #expect(whole.allSatisfy { !$0.isEmpty })
        for step in 1...7 {
            let trainer = try fit(directory("r\(step)"), resume: .path(directory("steps/\(step)")), given: rounding)
            #expect(content(directory("r\(step)/last")) == whole, "after step \(step)")
            #expect(trainer.notices.isEmpty)
        }
        // The checkpoint's rounding wins over another one, and says so.
        let other = try fit(directory("other"), resume: .path(directory("steps/3")), given: .nearest)
        #expect(content(directory("other/last")) == whole)
        #expect(other.notices.count == 1 && other.notices[0].contains("options"))
        // Another seed, or no compensation, gives other bits: the test compares something.
        _ = try fit(directory("nearest"), given: .nearest)
        #expect(content(directory("nearest/last"))[0] != whole[0])
    }

    /// Kahan's compensation is float32 state: 4 bytes an element, in the weights summary too.
    @Test func theSummaryCountsCompensations() {
        let module = SmallClassifier()
        _ = module.namedParameters()
        for parameter in module.parameters() { parameter.setTypes(storage: .bfloat16, compute: .bfloat16) }
        let optimizer = SGD(module.parameters(), learningRate: 0.1)
        #expect(ModelSummary.text(of: module, optimizers: [optimizer]).contains(" 0 optimizer state"))
        optimizer.updateRounding = .kahan
        // 6 x 8 + 8 + 8 x 3 + 3 = 83 elements.
        #expect(ModelSummary.text(of: module, optimizers: [optimizer]).contains(" 332 optimizer state"))
    }
}

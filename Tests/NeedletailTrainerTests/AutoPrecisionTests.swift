import Needletail
import Testing

/// A clock that the modules below move.
private final class FakeClock {
    var now = 0.0
}

/// A classifier with dropout, a frozen parameter and a state of its own, whose step takes a given time by compute type.
private final class Timed: SmallClassifier {
    let clock: FakeClock
    let cost: [DType: Double]
    var calls = 0

    init(_ clock: FakeClock, _ cost: [DType: Double]) {
        self.clock = clock
        self.cost = cost
        super.init()
        hidden.bias?.requiresGradient = false
        makeOptimizers = { [AdamW($0.parameters(), learningRate: 3e-3)] }
    }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        #expect(batch.inputs.dtype == hidden.weight.computeType)
        clock.now += cost[hidden.weight.computeType] ?? 0
        calls += 1
        return try super.trainingStep(batch, index)
    }

    override func onSaveCheckpoint(_ state: inout [String: JSONValue]) { state["calls"] = .integer(Int64(calls)) }
    override func onLoadCheckpoint(_ state: [String: JSONValue]) throws {
        calls = try #require(state["calls"]).decoded()
    }
}

/// Counts the hooks of batches.
private final class CountBackward: Callback {
    var count = 0
    override func onAfterBackward(_ trainer: Trainer, _ module: TrainingModule) { count += 1 }
}

@Suite struct AutoPrecisionTests {
    /// Medians in milliseconds of 32-true, bf16-mixed and 16-mixed, whether the 16-bit losses are finite, and what is taken.
    @Test func theRule() {
        let table: [(float32: Double, bfloat16: Double, float16: Double, bool: (Bool, Bool), choice: Precision)] = [
            (10, 8, 9, (true, true), .mixedBFloat16),
            (10, 9, 8, (true, true), .mixedFloat16),
            (10, 11, 9, (true, true), .mixedFloat16),
            (10, 9, 11, (true, true), .mixedBFloat16),
            (10, 11, 12, (true, true), .float32),
            (10, 10, 11, (true, true), .mixedBFloat16),  // not slower is enough
            (10, 8, 8, (true, true), .mixedBFloat16),  // the first of equals: it needs no loss scale
            (10, 9, 8, (true, false), .mixedBFloat16),  // a loss that overflows is no gain
            (10, 9, 8, (false, true), .mixedFloat16),
            (10, 9, 8, (false, false), .float32),
            (.nan, 9, 8, (true, true), .float32),
            (10, .nan, 8, (true, true), .mixedFloat16),
            (10, .nan, .nan, (true, true), .float32),
        ]
        for row in table {
            let timings = PrecisionTimings(
                title: "",
                rows: [
                    .init(.float32, seconds: [row.float32]),
                    .init(.mixedBFloat16, seconds: [row.bfloat16], isLossFinite: row.bool.0),
                    .init(.mixedFloat16, seconds: [row.float16], isLossFinite: row.bool.1),
                ])
            #expect(timings.choice == row.choice, "\(row)")
        }
        // Neither without 32-true to compare with, nor a mode that is not mixed, however fast.
        #expect(PrecisionTimings(title: "", rows: [.init(.mixedFloat16, seconds: [1])]).choice == .float32)
        let others = PrecisionTimings(
            title: "",
            rows: [.init(.float32, seconds: [3]), .init(.bfloat16, seconds: [1]), .init(.float16, seconds: [1])])
        #expect(others.choice == .float32)
    }

    @Test func medians() {
        let table: [([Double], Double)] = [([3], 3), ([3, 1, 2], 2), ([4, 1, 100, 2], 3), ([5, 1, 1, 1, 9], 1)]
        for (seconds, median) in table { #expect(PrecisionTimings.Row(.float32, seconds: seconds).median == median) }
        #expect(PrecisionTimings.Row(.float32, seconds: []).median.isNaN)
    }

    @Test func theTable() {
        let timings = PrecisionTimings(
            title: "a batch",
            rows: [
                .init(.float32, seconds: [0.004, 0.002, 0.003]),
                .init(.mixedBFloat16, seconds: [0.0015, 0.002, 0.001]),
                .init(.mixedFloat16, seconds: [0.001], isLossFinite: false),
            ])
        #expect(
            timings.table == """
                precision auto: a batch
                mode       |  ms a step |    least -       most |  speed |
                32-true    |      3.000 |      2.000 -      4.000 |   1.00 |
                bf16-mixed |      1.500 |      1.000 -      2.000 |   2.00 | chosen
                16-mixed   |      1.000 |      1.000 -      1.000 |   3.00 | its loss is not finite on this batch

                """)
    }

    private static let winners: [(Precision, [DType: Double])] = [
        (.float32, [.float32: 1, .bfloat16: 2, .float16: 3]),
        (.mixedBFloat16, [.float32: 2, .bfloat16: 1, .float16: 3]),
        (.mixedFloat16, [.float32: 3, .bfloat16: 2, .float16: 1]),
    ]

    private func fit(
        _ precision: PrecisionChoice, _ cost: [DType: Double], to directory: String, maxSteps: Int? = nil,
        resume: ResumePoint? = nil, output: @escaping (String) -> Void = { _ in }
    ) throws -> (trainer: Trainer, hooks: Int, calls: Int) {
        let clock = FakeClock()
        let module = Timed(clock, cost)
        let hooks = CountBackward()
        let trainer = Trainer(maxEpochs: 2, maxSteps: maxSteps, precision: precision) {
            $0.enableProgressBar = false
            $0.enableModelSummary = false
            $0.accumulateGradBatches = 2
            $0.gradientClip = .norm(0.5)
            $0.logEveryNSteps = 1
            $0.callbacks = [hooks, ModelCheckpoint(directory: directory, monitor: "val_loss")]
            $0.autoPrecision = ({ clock.now }, Console(isTerminal: false, write: output))
        }
        try trainer.fit(
            module, train: DataLoader(Points(22, infiniteRows: 5..<6), batchSize: 4, shuffle: true, seed: 3),
            validation: DataLoader(Points(7, seed: 9), batchSize: 4), resume: resume)
        return (trainer, hooks.count, module.calls)
    }

    private func sameBytes(_ a: String, _ b: String) -> Bool {
        ["model.safetensors", "optimizer.safetensors", "state.json"].allSatisfy {
            !bytes(a + "/" + $0).isEmpty && bytes(a + "/" + $0) == bytes(b + "/" + $0)
        }
    }

    /// Whichever mode measures best, the checkpoint has the bytes of a run started in it: parameters, moments, counters,
    /// dropout's generator, the module's own state. Hooks saw the run's batches only.
    @Test(arguments: winners.indices) func theRunHasTheBitsOfTheChosenMode(_ index: Int) throws {
        let (winner, cost) = Self.winners[index]
        let directory = try TemporaryDirectory()
        var printed = ""
        let auto = try fit(.auto, cost, to: directory("auto")) { printed += $0 }
        let direct = try fit(.mode(winner), cost, to: directory("direct"))
        #expect(auto.trainer.precision == winner && direct.trainer.precision == winner)
        #expect(sameBytes(directory("auto/last"), directory("direct/last")))
        #expect(sameBytes(directory("auto/best"), directory("direct/best")))
        #expect(try Checkpoint(directory("auto/last")).precision == winner)
        #expect(auto.hooks == direct.hooks && auto.calls == direct.calls && auto.hooks == 12)

        let timings = try #require(auto.trainer.precisionTimings)
        #expect(timings.rows.map(\.precision) == [.float32, .mixedBFloat16, .mixedFloat16])
        #expect(timings.rows.map(\.median) == [cost[.float32], cost[.bfloat16], cost[.float16]])
        #expect(printed == timings.table && printed.contains("batch of 4"))
        #expect(direct.trainer.precisionTimings == nil)
    }

    /// A run that began with one mode goes on with it, whatever would measure best now; evaluation too.
    @Test func aResumedRunKeepsTheCheckpointsMode() throws {
        let directory = try TemporaryDirectory()
        let (winner, cost) = Self.winners[1]
        _ = try fit(.auto, cost, to: directory("whole"))
        _ = try fit(.auto, cost, to: directory("part"), maxSteps: 1)
        var printed = ""
        let resumed = try fit(.auto, Self.winners[2].1, to: directory("part"), resume: .last) { printed += $0 }
        #expect(resumed.trainer.precision == winner && resumed.trainer.precisionTimings == nil && printed.isEmpty)
        #expect(resumed.trainer.notices.contains { $0.contains("auto") && $0.contains("bf16-mixed") })
        #expect(sameBytes(directory("part/last"), directory("whole/last")))
    }

    /// Parameters, their types, gradients, generators and modes are put back, also where the measurement fails.
    @Test func nothingIsLeftBehind() throws {
        final class Failing: SmallClassifier {
            var failsIn: DType?
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                if head.weight.computeType == failsIn { throw TrainerError.noOptimizer }
                return try super.trainingStep(batch, index)
            }
        }
        for failsIn in [nil, DType.float32, .bfloat16, .float16] {
            let module = Failing()
            module.failsIn = failsIn
            try PrecisionPolicy(.float16, overrides: ["head.*": .float64]).apply(to: module)
            module.evaluate()
            module.hidden.train()
            try crossEntropy(module.logits(Points(6).batch([0, 1, 2], dtype: .float16)), Tensor([0, 1, 2] as [Int64]))
                .backward()
            let bits = module.bits, gradients = module.parameters().map { $0.gradient?.bytes }
            let types = module.parameters().map { [$0.storageType, $0.computeType] }
            let random = module.randomStates()
            let modes = module.namedModules().map(\.module.isTraining)
            let loader = DataLoader(Points(12), batchSize: 4)
            loader.dtype = .float64
            let trainer = Trainer(maxEpochs: 1, precision: .auto) {
                $0.autoPrecision.console = .init(isTerminal: false) { _ in }
            }
            let result = Result { try trainer.choosePrecision(module, loader, nil) }
            #expect((try? result.get()) == nil ? failsIn != nil : failsIn == nil)
            #expect(module.bits == bits && module.parameters().map { $0.gradient?.bytes } == gradients)
            #expect(gradients.allSatisfy { $0 != nil })
            #expect(module.parameters().map { [$0.storageType, $0.computeType] } == types)
            #expect(module.randomStates() == random)
            #expect(
                module.namedModules().map(\.module.isTraining) == modes && modes.contains(true) && modes.contains(false)
            )
            #expect(loader.dtype == .float64)
        }
    }

    @Test func testingAfterFitRunsInTheChosenModeAndBeforeItIsAnError() throws {
        final class Look: SmallClassifier {
            var seen: [DType] = []
            override func testStep(_ batch: Batch, _ index: Int) throws { seen.append(batch.inputs.dtype) }
        }
        let module = Look()
        let loader = DataLoader(Points(12), batchSize: 4)
        let trainer = Trainer(maxEpochs: 1, precision: .auto) {
            $0.enableProgressBar = false
            $0.enableModelSummary = false
            $0.autoPrecision.console = .init(isTerminal: false) { _ in }
        }
        #expect(trainer.precision == nil)
        #expect(throws: TrainerError.precisionNotChosen) { try trainer.test(module, loader) }
        try trainer.fit(module, train: loader)
        try trainer.test(module, loader)
        let chosen = try #require(trainer.policy)
        #expect(module.seen == [chosen.compute, chosen.compute, chosen.compute])
        #expect([.float32, .mixedBFloat16, .mixedFloat16].contains(chosen.precision))
    }

    /// The rows of a real measurement: as many repetitions as promised, all of them positive. How long they are is nobody's
    /// promise.
    @Test func aRealMeasurement() throws {
        let trainer = quietTrainer(maxSteps: 1) {
            $0.precision = .auto
            $0.precisionOverrides = ["head.*": .float32]
            $0.autoPrecision.console = .init(isTerminal: false) { _ in }
        }
        let module = SmallClassifier()
        try trainer.fit(module, train: DataLoader(Points(32), batchSize: 16))
        let rows = try #require(trainer.precisionTimings).rows
        #expect(rows.count == 3 && rows.allSatisfy { $0.seconds.count == 5 && $0.seconds.allSatisfy { $0 > 0 } })
        #expect(rows.allSatisfy { $0.isLossFinite })
        #expect(module.head.weight.computeType == .float32)
        #expect(trainer.precision == trainer.precisionTimings?.choice)
    }
}

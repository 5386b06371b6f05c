import Foundation
import Needletail
import Testing

/// Sends the process a signal, which this thread takes: the test runner's threads have some of them blocked.
func send(_ signal: Int32) {
    var set = sigset_t(), before = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, signal)
    pthread_sigmask(SIG_UNBLOCK, &set, &before)
    pthread_kill(pthread_self(), signal)
    pthread_sigmask(SIG_SETMASK, &before, nil)
}

/// Sends itself a signal the first time it is at `place`, once armed.
private final class Interrupted: SmallClassifier {
    let place: String, signal: Int32
    var isArmed = true
    init(at place: String, _ signal: Int32) {
        (self.place, self.signal) = (place, signal)
        super.init()
    }
    private func at(_ here: String) {
        guard isArmed, here == place else { return }
        isArmed = false
        send(signal)
    }
    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        at("batch \(index) of epoch \(trainer?.state.epoch ?? -1)")
        return try super.trainingStep(batch, index)
    }
    override func validationStep(_ batch: Batch, _ index: Int) throws {
        at(trainer?.isSanityChecking == true ? "sanity" : "validation of epoch \(trainer?.state.epoch ?? -1)")
        try super.validationStep(batch, index)
    }
    override func onTrainEpochEnd() { at("end of epoch \(trainer?.state.epoch ?? -1)") }
    override func onFitEnd() { at("end") }
    override func testStep(_ batch: Batch, _ index: Int) throws { at("test \(index)") }
    override func predictStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        at("prediction \(index)")
        return try super.predictStep(batch, index)
    }
}

/// In one process, so that the moment is exact; `SignalCommandTests` has real processes.
@Suite struct SignalTests {
    private func fit(
        _ module: SmallClassifier, _ root: String, resume: ResumePoint? = nil, overwrite: Bool = false
    ) throws -> Trainer {
        let trainer = quietTrainer(maxEpochs: 3, precision: .mixedFloat16) {
            $0.handlesSignals = true
            $0.accumulateGradBatches = 2
            $0.valCheckInterval = 3  // of 5 batches: within a window
            $0.callbacks = [ModelCheckpoint(directory: root) { $0.overwrite = overwrite }]
        }
        try trainer.fit(
            module, train: DataLoader(Points(20), batchSize: 4, shuffle: true),
            validation: DataLoader(Points(12), batchSize: 4), resume: resume)
        return trainer
    }

    /// Wherever it comes: the checkpoint stands between two steps, and the run that goes on from it has the bits of one that
    /// was never interrupted.
    @Test(
        arguments: [
            ("batch 0 of epoch 0", 1), ("batch 1 of epoch 0", 1), ("batch 2 of epoch 0", 1), ("batch 4 of epoch 1", 6),
            ("validation of epoch 0", 1), ("validation of epoch 2", 7), ("end of epoch 1", 7),
        ] as [(String, Int)])
    func anInterruptedRunGoesOnExactly(_ place: String, _ step: Int) throws {
        let directory = try TemporaryDirectory()
        let whole = SmallClassifier()
        _ = try fit(whole, directory("whole"))
        for signal in [SIGINT, SIGTERM] {
            let run = directory("\(signal)")
            let error = #expect(throws: RunInterrupted.self, "\(place)") {
                try fit(Interrupted(at: place, signal), run)
            }
            #expect(error?.signal == signal && error?.exitCode == 128 + signal)
            #expect(error?.checkpoint == run + "/last" && directory.names(in: "\(signal)") == ["last", "run.json"])
            // A window that is open is finished where training stands, and left out where a validation does.
            let saved = try Checkpoint(run + "/last").state
            #expect(saved.globalStep == step, "\(place): \(saved)")
            let resumed = SmallClassifier()
            _ = try fit(resumed, run, resume: .last)
            #expect(resumed.bits == whole.bits)
            for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                #expect(bytes(run + "/last/" + name) == bytes(directory("whole/last/" + name)), "\(place) \(name)")
            }
        }
    }

    /// Before anything was trained nothing is saved: an older checkpoint stays.
    @Test func nothingIsSavedBeforeTheFirstStep() throws {
        let directory = try TemporaryDirectory()
        _ = try fit(SmallClassifier(), directory.path)
        let before = bytes(directory("last/state.json"))
        let error = #expect(throws: RunInterrupted.self) {
            try fit(Interrupted(at: "sanity", SIGINT), directory.path, overwrite: true)
        }
        #expect(error?.checkpoint == nil && error?.description.contains("no checkpoint") == true)
        #expect(bytes(directory("last/state.json")) == before)
    }

    /// Tests and predictions end too; a run that was over all but for its end counts as interrupted.
    @Test func otherStagesEnd() throws {
        let directory = try TemporaryDirectory()
        let loader = DataLoader(Points(12), batchSize: 4)
        let trainer = quietTrainer { $0.handlesSignals = true }
        #expect(throws: RunInterrupted(signal: SIGTERM, checkpoint: nil, globalStep: 0)) {
            try trainer.test(Interrupted(at: "test 1", SIGTERM), loader)
        }
        #expect(throws: RunInterrupted(signal: SIGINT, checkpoint: nil, globalStep: 0)) {
            try trainer.predict(Interrupted(at: "prediction 0", SIGINT), loader)
        }
        #expect(try trainer.predict(SmallClassifier(), loader).count == 3, "the next run is a new one")
        let error = #expect(throws: RunInterrupted.self) { try fit(Interrupted(at: "end", SIGINT), directory.path) }
        #expect(error?.checkpoint == directory("last"))
    }

    /// SIGUSR1 saves after the step, and nothing else changes.
    @Test func theUserSignalSavesAndGoesOn() throws {
        let directory = try TemporaryDirectory()
        let whole = SmallClassifier()
        _ = try fit(whole, directory("whole"))
        final class Watcher: Callback {
            var steps: [Int] = []
            override func onTrainBatchStart(
                _ trainer: Trainer, _ module: TrainingModule, _ batch: Batch, _ index: Int
            ) throws {
                guard let path = trainer.lastCheckpoint, let state = try? Checkpoint(path).state,
                    steps.last != state.globalStep
                else { return }
                steps.append(state.globalStep)
            }
        }
        let watcher = Watcher()
        let trainer = quietTrainer(maxEpochs: 3, precision: .mixedFloat16) {
            $0.handlesSignals = true
            $0.accumulateGradBatches = 2
            $0.valCheckInterval = 3
            $0.callbacks = [watcher, ModelCheckpoint(directory: directory.path)]
        }
        let module = Interrupted(at: "batch 0 of epoch 1", SIGUSR1)
        try trainer.fit(
            module, train: DataLoader(Points(20), batchSize: 4, shuffle: true),
            validation: DataLoader(Points(12), batchSize: 4))
        #expect(watcher.steps == [3, 4, 6], "ends of epochs 0 and 1, and the first step of epoch 1")
        #expect(module.bits == whole.bits && trainer.notices == ["saved \(directory("last")), as SIGUSR1 asked"])
    }

    /// Unless it is asked for, a run leaves the process's handlers alone; where it was, they are back afterwards.
    @Test func handlersAreLeftAsTheyWere() throws {
        final class Look: Callback {
            var handlers: [Int] = []
            override func onTrainStart(_ trainer: Trainer, _ module: TrainingModule) { handlers.append(handler()) }
        }
        let look = Look(), before = handler()
        for isAsked in [false, true] {
            let trainer = quietTrainer(maxSteps: 1) {
                $0.handlesSignals = isAsked
                $0.callbacks = [look]
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(4), batchSize: 4))
            #expect(handler() == before)
        }
        #expect(look.handlers.count == 2 && look.handlers[0] == before && look.handlers[1] != before)
        let shown = RunInterrupted(signal: SIGINT, checkpoint: "runs/last", globalStep: 1).description
        #expect(shown == "ended by SIGINT after 1 applied step; saved runs/last")
    }
}

/// The address of SIGINT's handler.
private func handler() -> Int {
    var action = sigaction()
    sigaction(SIGINT, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
}

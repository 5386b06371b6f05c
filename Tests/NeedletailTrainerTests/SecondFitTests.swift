// A second fit with the same trainer and callbacks is a first one: nothing of an earlier fit is left in either.
import Foundation
import Needletail
import Testing

@Suite struct SecondFitTests {
    /// How the fit before ends.
    enum FirstEnd: String, Sendable, CaseIterable {
        case completed, stopped, threw, timedOut
    }

    struct Failure: Error {}

    /// Ends the first fit as it was told, and leaves the second alone.
    private final class Saboteur: Callback {
        let end: FirstEnd?
        init(_ end: FirstEnd?) { self.end = end }
        var isActive = true
        override func onTrainBatchEnd(
            _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
        ) throws {
            guard isActive, trainer.state.globalStep + trainer.state.skippedSteps == 4 else { return }
            isActive = false
            if end == .stopped { trainer.shouldStop = true }
            if end == .threw { throw Failure() }
        }
    }

    /// What can be seen of a trainer, a callback and their surroundings after a fit.
    private struct Outcome: Equatable {
        let callback: [String], state: String?, tensors: [String]
        let trainer: [String], module: [[UInt8]], shown: String, files: [String: [UInt8]]

        init(_ trainer: Trainer, _ callback: Callback, _ module: SmallClassifier, _ around: Surroundings) throws {
            shown = around.shown
            files = around.files
            state = try callback.saveState()?.text
            tensors = try callback.stateTensors().map { "\($0.name) \($0.tensor.bytes)" }
            self.callback = content(of: callback)
            self.trainer =
                content(of: trainer.state) + content(of: trainer.metrics) + trainer.notices
                + ["\(trainer.shouldStop) \(trainer.lossScale ?? 0) \(trainer.trainingBatchCount)"]
            self.module = module.bits
        }
    }

    private func makeTrainer(_ callback: Callback, _ saboteur: Saboteur, _ clock: @escaping () -> Double = { 0 })
        -> Trainer
    {
        quietTrainer(maxEpochs: 2, precision: .mixedFloat16) {
            $0.callbacks = [saboteur, callback, TrainingTimer(.seconds(5), clock: clock)]
            $0.logEveryNSteps = 1
        }
    }

    private func fit(_ trainer: Trainer, resume: ResumePoint?) throws -> SmallClassifier {
        let module = SmallClassifier()
        // Row 5 is infinite: steps are skipped, and the loss scale moves.
        let train = DataLoader(Points(22, infiniteRows: 5..<6), batchSize: 4, shuffle: true, seed: 3)
        try trainer.fit(
            module, train: train, validation: DataLoader(Points(7, seed: 9), batchSize: 4), resume: resume)
        return module
    }

    /// Starts afresh, or from the checkpoint of a run that had no such callback.
    @Test(arguments: CallbackCase.all, [false, true])
    func aSecondFitIsAsAFirst(_ subject: CallbackCase, isResumed: Bool) throws {
        let directory = try TemporaryDirectory()
        let start = directory("start")
        let plain = quietTrainer(maxSteps: 3, precision: .mixedFloat16) {
            $0.callbacks = [AfterBatch { trainer, _, _, _ in try trainer.saveCheckpoint(to: start) }]
            $0.logEveryNSteps = 1
        }
        if isResumed { _ = try fit(plain, resume: nil) }
        let resume: ResumePoint? = isResumed && subject.name != "BackboneFineTuning" ? .path(start) : nil

        func makeFolder(_ name: String) throws -> Surroundings {
            try FileManager.default.createDirectory(atPath: directory(name), withIntermediateDirectories: true)
            return Surroundings(directory(name))
        }
        let fresh = try makeFolder("fresh")
        let reference = subject.make(fresh)
        let first = makeTrainer(reference, Saboteur(nil))
        let expected = try Outcome(first, reference, fit(first, resume: resume), fresh)

        for end in FirstEnd.allCases {
            let around = try makeFolder(end.rawValue)
            let callback = subject.make(around)
            let saboteur = Saboteur(end)
            var (looks, pace) = (0.0, end == .timedOut ? 1.0 : 0)
            let trainer = makeTrainer(callback, saboteur) {
                looks += pace
                return looks
            }
            do { _ = try fit(trainer, resume: nil) } catch is Failure { #expect(end == .threw) }
            #expect((trainer.state.epoch == 2) == (end == .completed), "\(subject.name) \(end)")
            pace = 0
            saboteur.isActive = false
            try check(trainer, callback, around, resume, expected, "\(subject.name) \(end)")
        }
    }

    /// Fits once more where nothing of the first fit's files and time is.
    private func check(
        _ trainer: Trainer, _ callback: Callback, _ around: Surroundings, _ resume: ResumePoint?,
        _ expected: Outcome, _ what: String
    ) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: around.folder) {
            try FileManager.default.removeItem(atPath: around.folder + "/" + name)
        }
        (around.now, around.shown) = (0, "")
        let module = try fit(trainer, resume: resume)
        let found = try Outcome(trainer, callback, module, around)
        #expect(found.callback == expected.callback, "\(what)")
        #expect(found.state == expected.state && found.tensors == expected.tensors, "\(what)")
        #expect(found.trainer == expected.trainer, "\(what)")
        #expect(found.module == expected.module, "\(what)")
        #expect(found.shown == expected.shown, "\(what)")
        #expect(found.files.keys.sorted() == expected.files.keys.sorted(), "\(what)")
        for (name, bytes) in expected.files { #expect(found.files[name] == bytes, "\(what): \(name)") }
    }

    /// The table above has every callback of the package.
    @Test func theTableIsComplete() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/NeedletailTrainer").path
        let names = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
        let classes = names.filter { $0.hasSuffix(".swift") }.flatMap { name in
            text(root + "/" + name).matches(of: /public final class (\w+): Callback/).map { String($0.1) }
        }
        #expect(!classes.isEmpty && classes.sorted() == CallbackCase.all.map(\.name).sorted())
    }

    /// The same for a profiler, which is no callback.
    @Test func aProfilerMeasuresEachFitAnew() throws {
        let around = Surroundings("")
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.profiler = Profiler(.simple, trace: nil, console: around.console, clock: around.clock)
        }
        let train = DataLoader(Points(8), batchSize: 4)
        try trainer.fit(SmallClassifier(), train: train)
        let first = around.shown
        (around.now, around.shown) = (0, "")
        try trainer.fit(SmallClassifier(), train: train)
        #expect(around.shown == first && !first.isEmpty)
        (around.now, around.shown) = (0, "")
        #expect(throws: TrainerError.self) {
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(0), batchSize: 4))
        }
        #expect(trainer.configuration.profiler?.actionSeconds.isEmpty == true, "nothing was measured")
    }

    /// `maxTime` is the time of one fit.
    @Test func timeBeginsAgain() throws {
        let trainer = quietTrainer(maxEpochs: 1) { $0.maxTime = .seconds(3600) }
        let timer = try #require(trainer.callbacks.lazy.compactMap { $0 as? TrainingTimer }.first)
        for _ in 0..<2 {
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(8), batchSize: 4))
            #expect(trainer.state.globalStep == 2 && timer.elapsed < .seconds(60))
        }
    }
}

// Searches that meet the end of memory end with the last size that worked; nothing else of the process ends.
import Foundation
import Needletail
import Testing

@Suite struct OutOfMemoryTests {
    /// A classifier one of whose steps asks for more than any machine's address space.
    private final class Greedy: SmallClassifier {
        let isTooMuch: (Batch, _ step: Int) -> Bool
        var steps = 0

        init(_ isTooMuch: @escaping (Batch, Int) -> Bool) {
            self.isTooMuch = isTooMuch
            super.init()
        }

        override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
            steps += 1
            if isTooMuch(batch, steps) { return Tensor.zeros([1 << 46], dtype: .float32).sum() }
            return try super.trainingStep(batch, index)
        }
    }

    private func fit(_ module: TrainingModule, _ callback: Callback) throws -> Trainer {
        let trainer = quietTrainer(maxSteps: 2) { $0.callbacks = [callback] }
        try trainer.fit(module, train: DataLoader(Points(600), batchSize: 5, shuffle: true))
        return trainer
    }

    @Test func aBatchSizeForWhichThereIsNoMemoryEndsTheSearch() throws {
        let finder = BatchSizeFinder(8...512, tolerance: 0)
        let trainer = try fit(Greedy { batch, _ in batch.count >= 64 }, finder)
        #expect(finder.trials.map(\.batchSize) == [8, 16, 32] && finder.batchSize == 8)
        #expect(trainer.notices.contains { $0.contains("batches of 64") && $0.contains("bytes") })
        #expect(trainer.state.globalStep == 2)
    }

    @Test func aFirstSizeForWhichThereIsNoMemoryIsAnError() throws {
        #expect(throws: TrainerError.self) { _ = try fit(Greedy { _, _ in true }, BatchSizeFinder(8...512)) }
    }

    @Test func aLearningRateSearchEnds() throws {
        let finder = LearningRateFinder(LearningRateRange(minimum: 1e-5, maximum: 1, steps: 40, stopAbove: nil))
        let trainer = try fit(Greedy { _, step in step == 30 }, finder)
        #expect(finder.result?.rates.count == 29)
        #expect(trainer.notices.contains { $0.contains("out of memory") })
        #expect(trainer.state.globalStep == 2)
    }

    @Test func automaticPrecisionFallsBack() throws {
        let module = Greedy { _, step in step == 2 }
        let trainer = Trainer(maxEpochs: 1, precision: .auto) {
            $0.maxSteps = 1
            $0.enableProgressBar = false
            $0.enableModelSummary = false
            $0.enableCheckpointing = false
        }
        try trainer.fit(module, train: DataLoader(Points(600), batchSize: 5))
        #expect(trainer.precision == .float32)
        #expect(trainer.notices.contains { $0.contains("precision auto") && $0.contains("memory") })
    }

    /// In training it is an error that says how much was wanted, not one of the batch.
    @Test func aStepForWhichThereIsNoMemoryIsAnError() throws {
        let module = Greedy { _, _ in true }
        do {
            try quietTrainer(maxSteps: 1).fit(module, train: DataLoader(Points(600), batchSize: 5))
            Issue.record("it has run")
        } catch let error as OperationError {
            #expect(error.isOutOfMemory && error.message.contains("\(1 << 48) bytes"))
        }
    }

    /// Under a limit of the address space: the search ends, and the run goes on with a size that fits.
    @Test func aLimitOfTheProcessEndsTheSearch() async throws {
        await #expect(processExitsWith: .success) {
            final class Wide: SmallClassifier {
                override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                    let rows = Tensor.ones([batch.count, 1 << 19], dtype: .float32)  // 2 MiB a sample
                    return try super.trainingStep(batch, index) + rows.mean() * 0
                }
            }
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmSize:") })
            let size = try #require(Int(line.split(whereSeparator: \.isWhitespace)[1])) * 1024
            var limit = rlimit(rlim_cur: rlim_t(size + 1 << 30), rlim_max: rlim_t(size + 1 << 30))
            #expect(setrlimit(__rlimit_resource_t(9), &limit) == 0)  // RLIMIT_AS
            let finder = BatchSizeFinder(8...4096, tolerance: 0.99, memoryLimit: .max)
            let trainer = quietTrainer(maxSteps: 2) { $0.callbacks = [finder] }
            try trainer.fit(Wide(), train: DataLoader(Points(5000), batchSize: 5, shuffle: true))
            let most = try #require(finder.trials.last?.batchSize)
            #expect((64...512).contains(most) && trainer.state.globalStep == 2)
        }
    }
}

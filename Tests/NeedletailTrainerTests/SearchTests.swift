import Foundation
import Needletail
import Testing

@Suite struct SearchTests {
    private func loader() -> DataLoader { DataLoader(Points(60), batchSize: 6, shuffle: true, seed: 4) }

    /// The curve falls and rises, the suggestion lies where it falls; nothing of the module has changed.
    @Test(arguments: Precision.allCases) func theRangeTestFindsARateAndLeavesNoTrace(_ precision: Precision) throws {
        let module = SmallClassifier()
        module.makeOptimizers = { [SGD($0.parameters(), learningRate: 1)] }
        let trainer = quietTrainer(precision: precision)
        try PrecisionPolicy(precision).apply(to: module)
        let (bits, random) = (module.bits, module.randomStates())
        let search = try trainer.findLearningRate(module, loader(), LearningRateRange(minimum: 1e-5, maximum: 100))
        #expect(module.bits == bits && module.randomStates() == random && module.trainer == nil)
        #expect(module.parameters().allSatisfy { $0.gradient == nil })
        // Rates grow by one factor: 10^(7/99) to a relative error of some roundings of pow.
        for (index, rate) in search.rates.enumerated() {
            let expected = 1e-5 * Foundation.pow(10, 7 * Double(index) / 99)
            #expect(abs(rate - expected) <= 1e-13 * expected)
        }
        let suggestion = try #require(search.suggestion)
        #expect(suggestion > 1e-3 && suggestion < 100, "\(suggestion)")
        #expect(search.losses.count > 60)
        #expect(search.svg.hasPrefix("<svg ") && search.svg.contains("<polyline") && search.svg.contains("<circle"))
    }

    /// Lightning's rule, by hand: the steepest fall by central differences, ten points left out before and one behind.
    @Test func theSuggestionIsTheSteepestFall() {
        let rates = (0..<20).map { Double($0) }
        var losses = [Double](repeating: 10, count: 20)
        losses[3] = -100  // left out
        for index in 14..<20 { losses[index] = 4 }
        losses[13] = 9
        losses[19] = -100  // left out
        // Differences: at 13 (4 - 10) / 2 = -3, at 14 (4 - 9) / 2 = -2.5.
        #expect(LearningRateSearch(rates: rates, losses: losses).suggestion == 13)
        #expect(LearningRateSearch(rates: [1, 2], losses: [1, 2]).suggestion == nil)
        #expect(LearningRateSearch(rates: rates, losses: .init(repeating: .nan, count: 20)).suggestion == nil)
        #expect(LearningRateSearch(rates: [], losses: []).svg.hasPrefix("<svg"))
    }

    /// The smoothed losses of a loop by hand, and its end where the loss has grown fourfold.
    @Test func theCurveIsThatOfALoopByHand() throws {
        let make = {
            let module = Regression(learningRate: 1)
            return module
        }
        let range = LearningRateRange(minimum: 0.01, maximum: 1e4, steps: 50)
        let search = try quietTrainer().findLearningRate(make(), loader(), range)
        let module = make()
        let optimizer = module.configureOptimizers()[0]
        var mean = 0.0, best = Double.infinity
        var expected: [Double] = []
        let data = loader()
        var epoch = 0, batches = data.batches(epoch: 0)
        while expected.count < 50 {
            guard let batch = try batches.next() else {
                epoch += 1
                batches = data.batches(epoch: epoch)
                continue
            }
            optimizer.learningRate = 0.01 * Foundation.pow(1e6, Double(expected.count) / 49)
            let loss = try module.trainingStep(batch, 0)
            optimizer.zeroGradients()
            loss.backward()
            optimizer.step()
            mean = 0.98 * mean + 0.02 * loss.item()
            expected.append(mean / (1 - Foundation.pow(0.98, Double(expected.count + 1))))
            best = min(best, expected[expected.count - 1])
            if expected.count > 2, expected[expected.count - 1] > 4 * best { break }
        }
        #expect(search.losses == expected && expected.count < 50)
    }

    /// The callback: a run has the bits of one that was given the rate; a resumed one does not search.
    @Test func theRunTakesTheSuggestion() throws {
        let directory = try TemporaryDirectory()
        func fit(_ rate: Double, _ callbacks: [Callback], epochs: Int = 1, resume: ResumePoint? = nil) throws
            -> [[UInt8]]
        {
            let module = SmallClassifier()
            module.makeOptimizers = { module in
                func group(_ layer: Linear, _ rate: Double) -> ParameterGroup {
                    var options = SGD.Options()
                    options.learningRate = rate
                    return ParameterGroup(layer.parameters(), options)
                }
                return [SGD(groups: [group(module.hidden, rate), group(module.head, rate / 4)])]
            }
            try quietTrainer(maxEpochs: epochs) { $0.callbacks = callbacks }
                .fit(module, train: loader(), resume: resume)
            return module.bits
        }
        let finder = LearningRateFinder(LearningRateRange(minimum: 1e-3, maximum: 10), plot: directory("rates.svg"))
        let found = try fit(1, [finder, ModelCheckpoint(directory: directory.path)])
        let suggestion = try #require(finder.result?.suggestion)
        #expect(try found == fit(suggestion, []))
        #expect(text(directory("rates.svg")).contains("learning rate"))
        let resumed = LearningRateFinder()
        _ = try fit(1, [resumed], epochs: 2, resume: .path(directory("last")))
        #expect(resumed.result == nil)
        let other = try fit(
            0.5, [LearningRateFinder(LearningRateRange(minimum: 1e-3, maximum: 10), appliesSuggestion: false)])
        #expect(try other == fit(0.5, []))
        #expect(throws: TrainerError.self) {
            let module = SmallClassifier()
            module.makeOptimizers = {
                [SGD($0.hidden.parameters(), learningRate: 1), SGD($0.head.parameters(), learningRate: 1)]
            }
            try quietTrainer(maxEpochs: 1) { $0.callbacks = [LearningRateFinder()] }.fit(module, train: loader())
        }
    }

    /// Times by a scripted clock: 100 µs a step and 1 µs a sample, so the rate is n / (100 + n) of a million. The smallest
    /// size within 80% of the best (512: 0.837) is the first with n / (100 + n) >= 0.669, 256.
    @Test func theBatchSizeIsTheSmallestThatIsFast() throws {
        final class Sized: SmallClassifier {
            var now = 0.0, sizes: [Int] = []
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                now += 1e-6 * Double(100 + batch.count)
                return try super.trainingStep(batch, index)
            }
            override func onTrainBatchStart(_ batch: Batch, _ index: Int) { sizes.append(batch.count) }
        }
        let directory = try TemporaryDirectory()
        func fit(_ epochs: Int, _ resume: ResumePoint? = nil) throws -> (Sized, BatchSizeFinder) {
            let module = Sized()
            let finder = BatchSizeFinder(8...512, tolerance: 0.8) { module.now }
            try quietTrainer(maxEpochs: epochs) {
                $0.callbacks = [finder, ModelCheckpoint(directory: directory.path, everyNSteps: 1)]
            }.fit(module, train: DataLoader(Points(600), batchSize: 5, shuffle: true), resume: resume)
            return (module, finder)
        }
        let (module, finder) = try fit(1)
        #expect(finder.trials.map(\.batchSize) == [8, 16, 32, 64, 128, 256, 512])
        for trial in finder.trials {
            let expected = 1e6 * Double(trial.batchSize) / Double(100 + trial.batchSize)
            // Differences of a clock below 1 s: 2^-53 s of 1e-4 s.
            #expect(abs(trial.samplesPerSecond - expected) <= 1e-11 * expected)
        }
        #expect(finder.batchSize == 256 && module.sizes == [256, 256, 88])
        #expect(try fit(2, .last).1.trials.isEmpty)
        #expect(try fit(3, .last).0.sizes == [256, 256, 88])
        // Memory that would not be enough ends the search at once.
        let small = BatchSizeFinder(8...512, memoryLimit: -2)
        try quietTrainer(maxSteps: 1) { $0.callbacks = [small] }.fit(SmallClassifier(), train: loader())
        #expect(small.trials.count == 1 && small.batchSize == 8)
    }
}

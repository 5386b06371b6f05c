import Foundation
import Needletail
import Testing

@Suite struct HistogramTests {
    /// Each value lies in the bucket that is counted for it: of the limits, the first that is not below it.
    @Test func everyValueLiesInItsBucket() {
        var generator = SeededGenerator(seed: 5)
        let tiny = Double.leastNonzeroMagnitude, huge = Double.greatestFiniteMagnitude
        var values = [0, -0.0, 1, -1, 1.125, -1.125, tiny, -tiny, 1e308, huge]
        for exponent in stride(from: -300.0, through: 300, by: 7) {
            values += [1, -1].map { $0 * generator.nextUniform() * pow(10, exponent) }
        }
        let histogram = Histogram(Tensor(values + [.nan, .infinity, -.infinity]))
        #expect(histogram.nonFinite == 3 && histogram.count == values.count)
        #expect(histogram.minimum == values.min() && histogram.maximum == values.max())
        #expect(histogram.buckets.reduce(0) { $0 + $1.count } == values.count)
        let limits = histogram.buckets.map(\.limit)
        #expect(limits == limits.sorted() && Set(limits).count == limits.count)
        var lower = -Double.infinity
        for bucket in histogram.buckets {
            // An edge belongs to the bucket further from zero.
            let inside = values.count { value in
                value < 0
                    ? value > lower && value <= bucket.limit
                    : value >= lower && (value < bucket.limit || bucket.limit == .greatestFiniteMagnitude)
            }
            #expect(inside == bucket.count, "(\(lower), \(bucket.limit)): \(bucket.count), found \(inside)")
            lower = bucket.limit
        }
    }

    /// A bucket is at most an eighth of its lower edge wide, and no bucket that holds values begins below its own edge.
    @Test func bucketsAreNarrow() {
        let histogram = Histogram(Tensor([1, 1.1, 3, 1000] as [Float]))
        let expected: [(Double, Int)] = [(1.125, 2), (3, 0), (3.25, 1), (960, 0), (1024, 1)]
        #expect(
            histogram.buckets.map(\.limit) == expected.map(\.0) && histogram.buckets.map(\.count) == expected.map(\.1))
        #expect(histogram.sum == 1 + Double(Float(1.1)) + 3 + 1000)
        #expect(Histogram(Tensor.zeros([3]), scale: 2).buckets.map(\.count) == [3])
        let empty = Histogram(Tensor([] as [Float]))
        #expect(empty.buckets.isEmpty && empty.minimum == 0 && empty.maximum == 0 && empty.count == 0)
    }

    @Test func theScaleIsMultipliedIn() {
        let values: [Float] = [-3, 0.5, 7]
        #expect(Histogram(Tensor(values), scale: 0.25) == Histogram(Tensor(values.map { $0 * 0.25 })))
    }

    /// Gradients are shown without the loss scale: with a scale of 1024 they are those of float32 but for float16's rounding.
    @Test func gradientsAreShownUnscaled() throws {
        final class Kept: Logger {
            var histograms: [String: Histogram] = [:]
            func log(_ record: MetricsRecord) {}
            func logHistogram(_ name: String, _ histogram: Histogram, step: Int) { histograms[name] = histogram }
        }
        func largest(_ precision: Precision) throws -> [String: Double] {
            let kept = Kept()
            let trainer = quietTrainer(maxEpochs: 1, precision: precision) {
                $0.callbacks = [ParameterHistograms()]
                $0.loggers = [kept]
                if precision == .mixedFloat16 { $0.lossScale = .fixed(1024) }
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(16), batchSize: 16))
            return kept.histograms.filter { $0.key.hasPrefix("gradients/") }
                .mapValues { max(abs($0.minimum), abs($0.maximum)) }
        }
        let (exact, half) = (try largest(.float32), try largest(.mixedFloat16))
        #expect(!exact.isEmpty && exact.keys == half.keys)
        for (name, value) in exact { #expect(abs(half[name]! / value - 1) < 0.05, "\(name)") }
    }
}

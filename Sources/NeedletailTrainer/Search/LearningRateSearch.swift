// What losses do while the learning rate grows: the range test.
import Foundation
import NeedletailTensor

/// The losses of a range test: from step to step the learning rate grows by the same factor.
///
/// Losses are smoothed as Lightning's: an exponential mean with decay 0.98, divided by 1 - 0.98^(steps).
public struct LearningRateSearch: Sendable {
    /// The learning rates that were tried, growing.
    public let rates: [Double]
    /// The smoothed losses after steps with them.
    public let losses: [Double]

    package init(rates: [Double], losses: [Double]) {
        self.rates = rates
        self.losses = losses
    }

    /// The rate at which the loss falls most steeply over the logarithm of the rate, as Lightning suggests it: the first ten
    /// steps, in which the mean settles, and the last one do not count. nil where too few steps have a finite loss.
    public var suggestion: Double? {
        let points = zip(rates, losses).dropFirst(10).dropLast().filter { $0.1.isFinite }
        guard points.count >= 3 else { return nil }
        let slopes = points.indices.map { index in
            let low = max(0, index - 1), high = min(points.count - 1, index + 1)
            return (points[high].1 - points[low].1) / Double(high - low)
        }
        return slopes.indices.min { slopes[$0] < slopes[$1] }.map { points[$0].0 }
    }

    /// The curve as a picture: losses over the logarithm of the rate, the suggestion marked.
    public var svg: String {
        let (width, height, margin) = (640.0, 400.0, 50.0)
        let points = zip(rates, losses).filter { $0.1.isFinite }
        guard let first = points.first?.0, let last = points.last?.0, first < last,
            let least = points.map(\.1).min(), let most = points.map(\.1).max()
        else { return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"400\"></svg>\n" }
        func x(_ rate: Double) -> Double { margin + (width - 2 * margin) * log(rate / first) / log(last / first) }
        func y(_ loss: Double) -> Double {
            height - margin - (height - 2 * margin) * (most > least ? (loss - least) / (most - least) : 0.5)
        }
        func text(_ value: Double) -> String { String(format: "%.1f", value) }
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"400\" font-family=\"sans-serif\" font-size=\"12\">",
            "<rect width=\"640\" height=\"400\" fill=\"white\"/>",
            "<path d=\"M50 50V350H590\" fill=\"none\" stroke=\"black\"/>",
        ]
        let powers =
            Int(log10(first).rounded(.up))...max(Int(log10(first).rounded(.up)), Int(log10(last).rounded(.down)))
        for power in powers where (first...last).contains(pow(10, Double(power))) {
            let place = text(x(pow(10, Double(power))))
            lines.append("<path d=\"M\(place) 350v5\" stroke=\"black\"/>")
            lines.append("<text x=\"\(place)\" y=\"368\" text-anchor=\"middle\">1e\(power)</text>")
        }
        for (loss, place) in [(most, 50.0), (least, 350.0)] {
            lines.append(
                "<text x=\"45\" y=\"\(text(place + 4))\" text-anchor=\"end\">\(String(format: "%.3g", loss))</text>")
        }
        lines.append("<text x=\"320\" y=\"390\" text-anchor=\"middle\">learning rate</text>")
        let curve = points.map { "\(text(x($0.0))),\(text(y($0.1)))" }.joined(separator: " ")
        lines.append("<polyline points=\"\(curve)\" fill=\"none\" stroke=\"steelblue\" stroke-width=\"2\"/>")
        if let suggestion, let loss = points.first(where: { $0.0 == suggestion })?.1 {
            lines.append("<circle cx=\"\(text(x(suggestion)))\" cy=\"\(text(y(loss)))\" r=\"5\" fill=\"crimson\"/>")
            lines.append(
                "<text x=\"\(text(x(suggestion)))\" y=\"40\" text-anchor=\"middle\">\(String(format: "%.3g", suggestion))</text>"
            )
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }
}

/// What a range test covers.
public struct LearningRateRange: Sendable, Equatable {
    /// The first and the last rate.
    public var minimum = 1e-8, maximum = 1.0
    /// How many steps are made.
    public var steps = 100
    /// The test ends where the smoothed loss is so many times its smallest value; nil for no such end.
    public var stopAbove: Double? = 4

    /// The default's range, or another one.
    public init(minimum: Double = 1e-8, maximum: Double = 1, steps: Int = 100, stopAbove: Double? = 4) {
        require(
            minimum > 0 && minimum < maximum && maximum.isFinite && steps >= 2,
            "LearningRateRange: found \(minimum) to \(maximum) in \(steps) steps, expected 0 < minimum < maximum, 2 or more"
        )
        (self.minimum, self.maximum, self.steps, self.stopAbove) = (minimum, maximum, steps, stopAbove)
    }

    /// The rate of step `index`.
    func rate(_ index: Int) -> Double { minimum * pow(maximum / minimum, Double(index) / Double(steps - 1)) }
}

extension FitTrial {
    /// Trains with growing rates. A step that overflows in float16 is made again with the next batch; one for which there is no
    /// memory ends the search.
    func searchLearningRate(_ range: LearningRateRange) throws -> LearningRateSearch {
        let window = trainer.accumulation(inEpoch: 0)
        return try trying { step in
            guard step.slots.count == 1, let slot = step.slots.first else {
                throw TrainerError.badOption(
                    name: "LearningRateFinder: optimizers", found: "\(step.slots.count)", expected: "1")
            }
            step.accumulation = window
            let ratios = slot.optimizer.groups.map { $0.learningRate / slot.optimizer.learningRate }
            var rates: [Double] = [], losses: [Double] = []
            var mean = 0.0, best = Double.infinity
            var source = BatchSource(train)
            var tries = 0
            search: while rates.count < range.steps, tries < 3 * range.steps {
                tries += 1
                try ProcessSignals.throwWhereAsked(trainer)
                let rate = range.rate(rates.count)
                for (group, ratio) in zip(slot.optimizer.groups, ratios) { group.learningRate = rate * ratio }
                var sum = 0.0, counted = 0.0, result: StepResult?
                for index in 0..<window {
                    let batch = try source.next()
                    let one: StepResult
                    do {
                        one = try throwingOperationErrors {
                            try step.run(batch, index, closesWindow: index == window - 1)
                        }
                    } catch let error as OperationError where error.isOutOfMemory {
                        trainer.notice("the learning-rate search ends at \(rate): \(error.message)")
                        break search
                    }
                    result = one
                    if one.isEmpty { continue }
                    sum += one.loss
                    counted += 1
                }
                if result?.skipReason == .noWeight { continue }
                let loss = step.scaler != nil && result?.skipReason != nil && sum.isFinite ? .nan : sum / counted
                if loss.isNaN, step.scaler != nil { continue }  // how the loss scale is found
                mean = 0.98 * mean + 0.02 * loss
                let smoothed = mean / (1 - pow(0.98, Double(rates.count + 1)))
                rates.append(rate)
                losses.append(smoothed)
                best = min(best, smoothed)
                if !smoothed.isFinite { break }
                if let factor = range.stopAbove, rates.count > 2, smoothed > factor * best { break }
            }
            return LearningRateSearch(rates: rates, losses: losses)
        }
    }
}

// What a report has collected, in a checkpoint: a run that goes on shows the curves of its beginning too.
import Foundation
import NeedletailTensor

extension RunReportContent {
    /// A curve but for its points, which are rows of a tensor.
    private struct SavedCurve: Codable {
        var name: String
        var isMarked: Bool
        var layout: DecimatedSeries.Layout
    }

    private struct Saved: Codable {
        var metrics: [SavedCurve]
        /// Loss, gradient norm, loss scale, then a learning rate for each group.
        var steps: [DecimatedSeries.Layout]
        var final: [String: Double]
        var skipped: [Double]
        var skippedSteps: Int
    }

    /// Curves without their points, and what else is no tensor. Neither times nor the metrics of these names, which depend on
    /// the clock: equal runs write equal checkpoints.
    func saved(without clockMetrics: Set<String>) throws -> JSONValue {
        try JSONValue(
            encoding: Saved(
                metrics: kept(without: clockMetrics).map {
                    .init(name: $0.name, isMarked: $0.isMarked, layout: $0.series.layout)
                },
                steps: stepCurves.map(\.layout), final: final.filter { !clockMetrics.contains($0.key) },
                skipped: skipped, skippedSteps: skippedSteps))
    }

    private func kept(without clockMetrics: Set<String>) -> [Metric] {
        metrics.filter { !clockMetrics.contains($0.name) }
    }

    /// Takes back what ``saved(without:)`` gave; the points come from ``fill(_:)``.
    mutating func load(_ state: JSONValue) throws {
        let saved = try state.decoded(as: Saved.self)
        guard saved.steps.count >= 3, (0...(1 << 53)).contains(saved.skippedSteps) else {
            throw Self.malformed("\(saved.steps.count) curves and \(saved.skippedSteps) skipped steps")
        }
        metrics = try saved.metrics.map {
            .init(name: $0.name, isMarked: $0.isMarked, series: try DecimatedSeries(layout: $0.layout))
        }
        stepCurves = try saved.steps.map { try DecimatedSeries(layout: $0) }
        (final, skipped) = (saved.final, Array(saved.skipped.prefix(500)))
        skippedSteps = saved.skippedSteps
    }

    /// The points of all curves that ``saved(without:)`` keeps below each other; nil where there are none.
    func points(without clockMetrics: Set<String>) -> Tensor? {
        let rows = (stepCurves + kept(without: clockMetrics).map(\.series)).flatMap(\.rows)
        return rows.isEmpty ? nil : Tensor(rows, shape: [rows.count / 5, 5])
    }

    /// Takes back the points.
    mutating func fill(_ points: Tensor?) throws {
        var rows: [Double] = []
        if let points {
            guard points.dtype == .float64, points.rank == 2, points.shape[1] == 5 else {
                throw Self.malformed("points \(points.dtype) \(points.shape)")
            }
            rows = points.scalars(as: Double.self)
        }
        var rest = rows[...]
        var steps = stepCurves
        for index in steps.indices { try steps[index].fill(from: &rest) }
        stepCurves = steps
        for index in metrics.indices { try metrics[index].series.fill(from: &rest) }
        guard rest.isEmpty else { throw Self.malformed("\(rest.count / 5) points of no curve") }
    }

    static func malformed(_ found: String) -> DecodingError {
        .dataCorrupted(.init(codingPath: [], debugDescription: "found \(found), expected the curves of a report"))
    }
}

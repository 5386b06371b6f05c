// A curve of any length in bounded memory.

/// Points of a curve; where there would be too many, neighbours are merged and their mean, smallest and largest value kept.
package struct DecimatedSeries: Sendable, Equatable {
    /// Neighbouring points as one.
    package struct Point: Sendable, Equatable {
        /// The mean of their places.
        package var x: Double
        /// The mean of their finite values; NaN where there is none.
        package var mean: Double
        /// The smallest and the largest finite value.
        package var low: Double, high: Double
        /// How many of them are finite.
        package var count: Int
    }

    /// At most so many points are kept.
    package static let limit = 1024

    package init() {}

    private var merged: [Point] = []
    private var open: [Point] = []
    private var stride = 1
    /// How many values were not finite.
    package private(set) var nonFinite = 0

    /// Appends a value at `x`, which is not below the one before it.
    package mutating func append(_ x: Double, _ y: Double) {
        if !y.isFinite { nonFinite += 1 }
        open.append(
            y.isFinite
                ? Point(x: x, mean: y, low: y, high: y, count: 1)
                : Point(x: x, mean: .nan, low: .infinity, high: -.infinity, count: 0))
        guard open.count == stride else { return }
        merged.append(Self.merge(open[...]))
        open = []
        guard merged.count == Self.limit else { return }
        merged = Swift.stride(from: 0, to: merged.count, by: 2).map { Self.merge(merged[$0..<$0 + 2]) }
        stride *= 2
    }

    /// The curve so far.
    package var points: [Point] { open.isEmpty ? merged : merged + [Self.merge(open[...])] }

    /// The value that was appended last, where it was not merged yet; else the last point's mean.
    var last: Double { open.last?.mean ?? merged.last?.mean ?? .nan }

    private static func merge(_ points: ArraySlice<Point>) -> Point {
        let x = points.reduce(0) { $0 + $1.x } / Double(points.count)
        let count = points.reduce(0) { $0 + $1.count }
        let sum = points.reduce(0) { $1.count == 0 ? $0 : $0 + $1.mean * Double($1.count) }
        return Point(
            x: x, mean: count == 0 ? .nan : sum / Double(count), low: points.map(\.low).min() ?? .infinity,
            high: points.map(\.high).max() ?? -.infinity, count: count)
    }
}

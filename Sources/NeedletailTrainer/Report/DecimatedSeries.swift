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

    // MARK: In checkpoints

    /// A curve without its points.
    package struct Layout: Codable, Equatable {
        package var stride: Int, nonFinite: Int
        /// How many points are merged, and how many are not yet.
        package var merged: Int, open: Int

        package init(stride: Int, nonFinite: Int, merged: Int, open: Int) {
            (self.stride, self.nonFinite, self.merged, self.open) = (stride, nonFinite, merged, open)
        }
    }

    /// The curve without its points.
    package var layout: Layout {
        Layout(stride: stride, nonFinite: nonFinite, merged: merged.count, open: open.count)
    }

    /// The points, five numbers each: x, mean, low, high, count.
    package var rows: [Double] { (merged + open).flatMap { [$0.x, $0.mean, $0.low, $0.high, Double($0.count)] } }

    /// A curve whose points are still to come. Throws `DecodingError` where no curve can be so.
    package init(layout: Layout) throws {
        let strides = 1...(1 << 40)
        guard strides.contains(layout.stride), layout.stride.nonzeroBitCount == 1, layout.nonFinite >= 0,
            (0..<Self.limit).contains(layout.merged), (0..<min(layout.stride, 1 << 20)).contains(layout.open)
        else { throw RunReportContent.malformed("\(layout)") }
        (stride, nonFinite) = (layout.stride, layout.nonFinite)
        let none = Point(x: 0, mean: 0, low: 0, high: 0, count: 0)
        merged = Array(repeating: none, count: layout.merged)
        open = Array(repeating: none, count: layout.open)
    }

    /// Takes its points from the front of `rows`.
    package mutating func fill(from rows: inout ArraySlice<Double>) throws {
        let count = merged.count + open.count
        guard rows.count >= 5 * count else {
            throw RunReportContent.malformed("\(rows.count) numbers for \(count) points")
        }
        let points = try Swift.stride(from: rows.startIndex, to: rows.startIndex + 5 * count, by: 5).map { start in
            guard let count = Int(exactly: rows[start + 4]), count >= 0 else {
                throw RunReportContent.malformed("a point of \(rows[start + 4]) values")
            }
            return Point(
                x: rows[start], mean: rows[start + 1], low: rows[start + 2], high: rows[start + 3], count: count)
        }
        rows = rows.dropFirst(5 * count)
        open = Array(points.dropFirst(merged.count))
        merged = Array(points.prefix(merged.count))
    }
}

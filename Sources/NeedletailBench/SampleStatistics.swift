// What is reported of repeated measurements.

/// Median and quartiles of a sample.
///
/// The spread is the interquartile range: the distance of the two quartiles, between which half of the sample lies. Other
/// processes lengthen a few repetitions a lot, which moves a mean and a deviation, but neither median nor quartiles.
/// Quartiles between two values are interpolated linearly, as numpy.percentile does.
package struct SampleStatistics: Equatable {
    package let median: Double
    package let lowerQuartile: Double
    package let upperQuartile: Double
    package let count: Int

    /// Upper less lower quartile.
    package var spread: Double { upperQuartile - lowerQuartile }

    /// The statistics of at least one value.
    package init(_ values: [Double]) {
        precondition(!values.isEmpty, "SampleStatistics: found no values, expected at least one")
        let sorted = values.sorted()
        func quantile(_ share: Double) -> Double {
            let position = share * Double(sorted.count - 1)
            let below = Int(position), above = min(below + 1, sorted.count - 1)
            return sorted[below] + (position - Double(below)) * (sorted[above] - sorted[below])
        }
        median = quantile(0.5)
        lowerQuartile = quantile(0.25)
        upperQuartile = quantile(0.75)
        count = values.count
    }
}

import NeedletailBench
import Testing

@Suite struct SampleStatisticsTests {
    /// Expected values: numpy.percentile(values, [25, 50, 75]), its default linear interpolation.
    @Test(arguments: [
        ([7.0], 7.0, 7.0, 7.0),
        ([1, 2], 1.25, 1.5, 1.75),
        ([3, 1, 2], 1.5, 2, 2.5),
        ([4, 1, 3, 2], 1.75, 2.5, 3.25),
        ([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110], 35, 60, 85),
        ([5, 5, 5, 5, 1000], 5, 5, 5),
    ])
    func knownVectors(values: [Double], lower: Double, median: Double, upper: Double) {
        let statistics = SampleStatistics(values)
        #expect(statistics.lowerQuartile == lower)
        #expect(statistics.median == median)
        #expect(statistics.upperQuartile == upper)
        #expect(statistics.spread == upper - lower)
        #expect(statistics.count == values.count)
    }

    @Test func orderDoesNotMatter() {
        let values = [9.0, 2, 7, 4, 4, 1, 8]
        #expect(SampleStatistics(values) == SampleStatistics(values.sorted().reversed()))
    }
}

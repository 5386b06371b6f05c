import NeedletailTensor
import Testing

@Suite struct ExponentHistogramTests {
    /// Each boundary and both neighbours: what the histogram says, literally.
    @Test func boundariesOfFloat16() {
        func losses(_ value: Float) -> [Int] {
            let found = exponentHistogram(Tensor([value])).float16
            return [found.flushed, found.subnormal, found.saturated]
        }
        for sign: Float in [1, -1] {
            #expect(losses(sign * (0x1p-25 as Float).nextDown) == [1, 0, 0])
            #expect(losses(sign * 0x1p-25) == [1, 0, 0])  // a tie: to even, which is zero
            #expect(losses(sign * (0x1p-25 as Float).nextUp) == [0, 1, 0])
            #expect(losses(sign * 0x1p-24) == [0, 1, 0])
            #expect(losses(sign * (0x1p-14 as Float).nextDown) == [0, 1, 0])
            #expect(losses(sign * 0x1p-14) == [0, 0, 0])
            #expect(losses(sign * 65504) == [0, 0, 0])
            #expect(losses(sign * (65520 as Float).nextDown) == [0, 0, 0])
            #expect(losses(sign * 65520) == [0, 0, 1])  // a tie: to even, which is infinity
            #expect(losses(sign * .greatestFiniteMagnitude) == [0, 0, 1])
        }
        for value: Float in [0, -0.0, .infinity, -.infinity, .nan] { #expect(losses(value) == [0, 0, 0]) }
    }

    @Test func boundariesOfBFloat16() {
        func losses(_ value: Float) -> [Int] {
            let found = exponentHistogram(Tensor([value])).bfloat16
            return [found.flushed, found.subnormal, found.saturated]
        }
        let overflow = Float(bitPattern: 0x7F7F_8000)
        for sign: Float in [1, -1] {
            #expect(losses(sign * .leastNonzeroMagnitude) == [1, 0, 0])
            #expect(losses(sign * 0x1p-134) == [1, 0, 0])
            #expect(losses(sign * (0x1p-134 as Float).nextUp) == [0, 1, 0])
            #expect(losses(sign * (0x1p-126 as Float).nextDown) == [0, 1, 0])
            #expect(losses(sign * 0x1p-126) == [0, 0, 0])
            #expect(losses(sign * overflow.nextDown) == [0, 0, 0])
            #expect(losses(sign * overflow) == [0, 0, 1])
            #expect(losses(sign * .greatestFiniteMagnitude) == [0, 0, 1])
        }
    }

    /// What the histogram foretells is what the conversions do, at every rounding boundary of both types.
    @Test func agreesWithTheConversions() {
        var values: [Float] = []
        for pattern in UInt16.min...UInt16.max {
            for exact in [Float(Float16(bitPattern: pattern)), Float(bitPattern: UInt32(pattern) << 16)]
            where exact.isFinite {
                values += [exact, exact.nextUp, exact.nextDown]
            }
            // Halfway to the next bfloat16, and the float32 neighbours of that.
            let middle = Float(bitPattern: UInt32(pattern) << 16 | 0x8000)
            if middle.isFinite { values += [middle, middle.nextUp, middle.nextDown] }
        }
        values += [0x1p-25, (0x1p-25 as Float).nextUp, 65520, (65520 as Float).nextDown]
        values = values.filter { $0.isFinite && $0 != 0 }
        let x = Tensor(values)
        let histogram = exponentHistogram(x)
        func count(_ type: DType, _ test: (Float) -> Bool) -> Int {
            x.cast(to: type).scalars(as: Float.self).count(where: test)
        }
        #expect(histogram.float16.flushed == count(.float16) { $0 == 0 })
        #expect(histogram.float16.saturated == count(.float16) { $0.isInfinite })
        #expect(histogram.bfloat16.flushed == count(.bfloat16) { $0 == 0 })
        #expect(histogram.bfloat16.saturated == count(.bfloat16) { $0.isInfinite })
        #expect(histogram.float16.subnormal == values.count { $0.magnitude > 0x1p-25 && $0.magnitude < 0x1p-14 })
        #expect(histogram.bfloat16.subnormal == values.count { $0.magnitude > 0x1p-134 && $0.magnitude < 0x1p-126 })
        for exponent in -149...127 {
            #expect(histogram[exponent] == values.count { Int($0.exponent) == exponent }, "2^\(exponent)")
        }
        #expect(histogram.finiteNonZero == values.count && histogram.zeros == 0 && histogram.nonFinite == 0)
    }

    @Test(arguments: [DType.float64, .float32, .float16, .bfloat16])
    func everyTypeCountsAlike(type: DType) {
        let x = Tensor([0, 1, -1.5, 2, 0x1p-14, 3.5, .infinity, -.infinity, .nan, -0.0] as [Float]).cast(to: type)
        let histogram = exponentHistogram(x)
        #expect(histogram.total == 10 && histogram.finiteNonZero == 5)
        #expect(histogram.zeros == 2 && histogram.nonFinite == 3)
        #expect([-14, 0, 1, 2, -1].map { histogram[$0] } == [1, 2, 2, 0, 0])
        #expect(histogram.smallest == 0x1p-14 && histogram.largest == 3.5 && histogram.occupied == -14...1)
    }

    @Test func float64HasItsWholeRange() {
        let x = Tensor([Double.leastNonzeroMagnitude, 0x1p-1022, 0x1.8p-1030, 0x1.FFp127, -0x1p1023])
        let histogram = exponentHistogram(x)
        #expect([-1074, -1022, -1030, 127, 1023].map { histogram[$0] } == [1, 1, 1, 1, 1])
        #expect(histogram.bfloat16.flushed == 3 && histogram.bfloat16.saturated == 2)
        #expect(histogram[1024] == 0 && histogram[-1075] == 0)
    }

    /// A scale moves exponents before anything is judged, without rounding 16-bit values on the way.
    @Test func scaledCounts() {
        let x = Tensor([0x1p-24, 0x1p-10, 1] as [Float16])
        let histogram = exponentHistogram(x, scale: 0x1p-16)
        #expect([-40, -26, -16].map { histogram[$0] } == [1, 1, 1])
        #expect(histogram.float16.flushed == 2 && histogram.float16.subnormal == 1)
    }

    @Test func viewsAndSums() {
        let x = Tensor([1, 2, 4, 8] as [Float], shape: [2, 2])
        var sum = exponentHistogram(x.transposed()[0])  // 1 and 4
        #expect([0, 1, 2, 3].map { sum[$0] } == [1, 0, 1, 0])
        sum += exponentHistogram(Tensor([0, 1e-9, .nan, 1e6] as [Float]))
        sum += exponentHistogram(Tensor.zeros([0]))
        #expect(sum.total == 6 && sum.finiteNonZero == 4 && sum.zeros == 1 && sum.nonFinite == 1)
        #expect(sum.smallest == Double(1e-9 as Float) && sum.largest == 1e6)
        #expect(sum.float16.flushed == 1 && sum.float16.saturated == 1 && sum.bfloat16.flushed == 0)
    }

    @Test func noValues() {
        let histogram = exponentHistogram(Tensor.zeros([3]))
        #expect(histogram.occupied == nil && histogram.largest == 0 && histogram.smallest == .infinity)
    }
}

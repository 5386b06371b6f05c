import CSIMD
import Glibc
import Testing

/// Sums, maxima, argmax and the finite check on every row, against plain loops in Double.
@Suite struct ReduceTests {
    static let types: [(type: csimd_type, size: Int)] = [
        (CSIMD_F32, 4), (CSIMD_F16, 2), (CSIMD_BF16, 2), (CSIMD_F64, 8),
    ]

    // 0, 1, around a vector, around a column chunk (128) and a row chunk (4096), a prime over two chunks.
    static let shapes: [(outer: Int, count: Int, inner: Int)] = [
        (0, 3, 2), (2, 0, 3), (2, 0, 1), (3, 3, 0), (1, 1, 1), (3, 7, 1), (2, 17, 1), (1, 4096, 1), (2, 4097, 1),
        (1, 8209, 1),
        (1, 128, 10), (1, 129, 10), (2, 257, 33), (3, 5, 130), (1, 64, 513), (2, 3, 1025),
    ]

    /// Values in [-2, 2) that every type holds exactly, in `type`, as raw bytes; and as Double.
    func input(_ count: Int, _ type: csimd_type) -> (bytes: [UInt8], values: [Double]) {
        let values = (0..<count).map { index -> Double in
            let step = (index &* 7919 + 13) % 256
            return Double(step - 128) / 64
        }
        return (encode(values, type), values)
    }

    func encode(_ values: [Double], _ type: csimd_type) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: values.count * 8)
        #expect(csimd_convert(CSIMD_F64, values, type, &bytes, values.count) == CSIMD_OK)
        return Array(bytes.prefix(values.count * Self.types.first { $0.type == type }!.size))
    }

    func decode(_ bytes: [UInt8], _ type: csimd_type, _ count: Int) -> [Double] {
        var values = [Double](repeating: 0, count: count)
        #expect(csimd_convert(type, bytes, CSIMD_F64, &values, count) == CSIMD_OK)
        return values
    }

    func reduce(
        _ op: csimd_reduce_op, _ type: csimd_type, _ shape: (outer: Int, count: Int, inner: Int), _ x: [UInt8],
        scale: Double = 1, onto start: [Double]? = nil, to yType: csimd_type
    ) -> [Double] {
        let results = shape.outer * shape.inner
        var y = encode(start ?? [Double](repeating: .nan, count: results), yType)
        let status = csimd_reduce(op, type, shape.outer, shape.count, shape.inner, x, scale, start != nil, yType, &y)
        #expect(status == CSIMD_OK)
        return decode(y, yType, results)
    }

    @Test func exactSumsAndMaximaOfEveryShape() {
        // Multiples of 1/64 below 2^24 / 64 in sum: every float32 partial sum is exact, whatever the order.
        for (type, _) in Self.types {
            for shape in Self.shapes {
                let (x, values) = input(shape.outer * shape.count * shape.inner, type)
                var sums: [Double] = []
                var maxima: [Double] = []
                for i in 0..<shape.outer {
                    for k in 0..<shape.inner {
                        let column = (0..<shape.count).map { values[(i * shape.count + $0) * shape.inner + k] }
                        sums.append(column.reduce(0, +))
                        maxima.append(column.max() ?? -.infinity)
                    }
                }
                let yType = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
                let start = sums.indices.map { Double($0 % 5) - 2 }
                forEachRow { row in
                    let label = "\(row) type \(type.rawValue) shape \(shape)"
                    #expect(reduce(CSIMD_SUM, type, shape, x, to: yType) == sums, "\(label)")
                    #expect(reduce(CSIMD_MAX, type, shape, x, to: type) == maxima, "\(label)")
                    let accumulated = reduce(CSIMD_SUM, type, shape, x, scale: -0.5, onto: start, to: yType)
                    #expect(accumulated == zip(sums, start).map { $1 - 0.5 * $0 }, "\(label)")
                    // In the storage type: the exact sum, rounded once.
                    let rounded = decode(encode(sums, type), type, sums.count)
                    #expect(reduce(CSIMD_SUM, type, shape, x, to: type) == rounded, "\(label)")
                }
            }
        }
    }

    @Test func longSumsStayWithinTheChunkBound() {
        // A lane adds at most 128 float32 values before float64 takes over: |error| <= 128 u sum |x|, u = 2^-24 (the float64
        // part adds less than 2^-40 of that); then one rounding to float32.
        let count = 1_000_003
        let x = [Float](repeating: 0.1, count: count)  // equal values: their rounding errors all go one way
        let exact = x.reduce(0.0) { $0 + Double($1) }
        forEachRow { row in
            var y: Float = 0
            #expect(csimd_reduce(CSIMD_SUM, CSIMD_F32, 1, count, 1, x, 1, false, CSIMD_F32, &y) == CSIMD_OK)
            let ok = abs(Double(y) - exact) <= (128 + 1) * 0x1p-24 * exact
            #expect(ok, "\(row): \(y), exact \(exact)")
            var columns = [Float](repeating: 0, count: 7)
            #expect(csimd_reduce(CSIMD_SUM, CSIMD_F32, 1, count / 7, 7, x, 1, false, CSIMD_F32, &columns) == CSIMD_OK)
            for k in 0..<7 {
                let exact = stride(from: k, to: count / 7 * 7, by: 7).reduce(0.0) { $0 + Double(x[$1]) }
                let ok = abs(Double(columns[k]) - exact) <= (128 + 1) * 0x1p-24 * exact
                #expect(ok, "\(row), column \(k): \(columns[k]), exact \(exact)")
            }
        }
    }

    @Test func maximaAndArgmaxFindNaNInfinityAndTheFirstOfEquals() {
        let count = 131
        for (type, _) in Self.types {
            for inner in [1, 5] {
                for position in [0, 1, 15, 16, 17, 63, 64, 127, 128, 130] {
                    for special in [Double.nan, .infinity, 3] {
                        // Column 0 holds `special` twice; the others are plain: first maximum known by a loop.
                        var values = input(count * inner, type).values
                        values[position * inner] = special
                        values[(count - 1) * inner] = special
                        let x = encode(values, type)
                        let column = (0..<inner).map { k in (0..<count).map { values[$0 * inner + k] } }
                        let expected = column.map { column in
                            Int64(column.firstIndex { $0.isNaN } ?? column.firstIndex(of: column.max()!)!)
                        }
                        forEachRow { row in
                            let label = "\(row) type \(type.rawValue) inner \(inner) \(special) at \(position)"
                            var y = [Int64](repeating: -1, count: inner)
                            #expect(csimd_argmax(type, 1, count, inner, x, &y) == CSIMD_OK)
                            #expect(y == expected, "\(label)")
                            let maximum = reduce(CSIMD_MAX, type, (1, count, inner), x, to: type)[0]
                            #expect(special.isNaN ? maximum.isNaN : maximum == special, "\(label)")
                        }
                    }
                }
            }
            let bottom = encode([-.infinity, -.infinity, -.infinity], type)
            forEachRow { row in
                var y: Int64 = -1
                #expect(csimd_argmax(type, 1, 3, 1, bottom, &y) == CSIMD_OK && y == 0, "\(row)")
                #expect(csimd_argmax(type, 1, 0, 1, bottom, &y) == CSIMD_INVALID_ARGUMENT)
            }
        }
    }

    func finiteCheck(_ type: csimd_type, _ count: Int, _ x: UnsafeRawPointer) -> (sum: Double, first: Int) {
        var sum = -1.0
        var first = -1
        #expect(csimd_finite_check(type, CSIMD_NORM_2, count, x, &sum, &first) == CSIMD_OK)
        return (sum, first)
    }

    @Test func theFiniteCheckFindsEveryBadValueAtEveryPositionOfEveryLength() {
        // Quiet and signalling NaN and infinities, as top bits of the element; the rest are the largest finite values
        // (float64: 2^508, so that the sum of squares stays finite).
        let cases: [(type: csimd_type, size: Int, largest: UInt64, bad: [UInt64])] = [
            (CSIMD_F32, 4, 0x7F7F_FFFF, [0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F80_0001]),
            (CSIMD_F16, 2, 0x7BFF, [0x7C00, 0xFC00, 0x7E00, 0x7C01]),
            (CSIMD_BF16, 2, 0x7F7F, [0x7F80, 0xFF80, 0x7FC0, 0x7F81]),
            (CSIMD_F64, 8, 0x5FB0_0000_0000_0000, [0x7FF0_0000_0000_0000, 0x7FF0_0000_0000_0001]),
        ]
        for (type, size, largest, bad) in cases {
            let x = GuardedBuffer<UInt8>(count: 70 * size, fill: 0)
            defer { x.release() }
            func set(_ index: Int, _ bits: UInt64) {
                withUnsafeBytes(of: bits.littleEndian) { _ = memcpy(x.pointer + index * size, $0.baseAddress!, size) }
            }
            for index in 0..<70 { set(index, largest) }
            forEachRow { row in
                for count in 0...70 {
                    let start = 70 - count
                    let clean = finiteCheck(type, count, x.pointer + start * size)
                    #expect(clean.first == count && clean.sum.isFinite, "\(row) type \(type.rawValue) count \(count)")
                    for position in start..<70 {
                        set(position, bad[position % bad.count])
                        if position % 3 == 0 { set(69, bad[0]) }  // a later one does not matter
                        let found = finiteCheck(type, count, x.pointer + start * size)
                        let ok = found.first == position - start && !found.sum.isFinite
                        if !ok {
                            Issue.record("\(row) type \(type.rawValue) count \(count) position \(position): \(found)")
                        }
                        set(position, largest)
                        set(69, largest)
                    }
                }
            }
        }
    }

    @Test func sumsOfSquaresDoNotOverflowAndAreAccurate() {
        let count = 40_001
        // Squares are exact in float64 (48 bits), their sums lose at most count 2^-53 of a positive total.
        for magnitude in [Float(1e20), 1e-30, 3.4e38, 0.1] {
            let x = (0..<count).map { magnitude * (1 - Float($0 % 100) / 1000) }
            let exact = x.reduce(0.0) { $0 + Double($1) * Double($1) }
            forEachRow { row in
                let (sum, first) = finiteCheck(CSIMD_F32, count, x)
                let ok = abs(sum - exact) <= Double(2 * count) * 0x1p-53 * exact
                #expect(ok && first == count, "\(row), \(magnitude): \(sum), exact \(exact)")
            }
        }
    }

    @Test func threadsChangeNoBit() {
        let count = 1_200_011
        var x = (0..<count).map { Float($0 &* 7919 % 20_011) / 997 - 9 }
        let shapes = [
            (1, count, 1), (1, count / 10, 10), (2, count / 2000, 1000), (3, count / 3, 1), (1000, 1200, 1),
            (1, 1000, 1200),
        ]
        forEachRow { row in
            for (outer, length, inner) in shapes {
                for op in [CSIMD_SUM, CSIMD_MAX] {
                    let results = [Int32(1), 2, 4].map { threads in
                        withThreads(threads) {
                            var y = [Float](repeating: 0, count: outer * inner)
                            #expect(
                                csimd_reduce(op, CSIMD_F32, outer, length, inner, x, 0.3, false, CSIMD_F32, &y)
                                    == CSIMD_OK)
                            return y
                        }
                    }
                    #expect(
                        results[0] == results[1] && results[0] == results[2], "\(row) \(outer) x \(length) x \(inner)")
                }
            }
            for bad in [count, 777_777] {
                if bad < count {
                    x[bad] = .infinity
                    x[count - 1] = .nan
                }
                let alone = withThreads(1) { finiteCheck(CSIMD_F32, count, x) }
                let together = withThreads(4) { finiteCheck(CSIMD_F32, count, x) }
                #expect(
                    alone.sum.bitPattern == together.sum.bitPattern || alone.sum.isNaN && together.sum.isNaN, "\(row)")
                #expect(alone.first == bad && together.first == bad, "\(row)")
            }
            x[777_777] = 1
            x[count - 1] = 1
        }
    }

    @Test func everyShortLengthStaysInsideItsArray() {
        for (type, size) in Self.types {
            let x = GuardedBuffer<UInt8>(encode((0..<130).map { Double($0 % 32) - 16 }, type), fill: 0)
            defer { x.release() }
            forEachRow { row in
                for count in 1...130 {
                    let start = x.pointer + (130 - count) * size
                    let values = (130 - count..<130).map { Double($0 % 32) - 16 }
                    var sum = [UInt8](repeating: 0, count: 8)
                    var columns = [UInt8](repeating: 0, count: 8 * 130)
                    var index: Int64 = -1
                    let yType = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
                    #expect(csimd_reduce(CSIMD_SUM, type, 1, count, 1, start, 1, false, yType, &sum) == CSIMD_OK)
                    #expect(csimd_reduce(CSIMD_MAX, type, 1, 1, count, start, 1, false, yType, &columns) == CSIMD_OK)
                    #expect(csimd_argmax(type, 1, count, 1, start, &index) == CSIMD_OK)
                    let ok =
                        decode(sum, yType, 1)[0] == values.reduce(0, +) && decode(columns, yType, count) == values
                        && Int(index) == values.firstIndex(of: values.max()!)
                    #expect(ok, "\(row) type \(type.rawValue) count \(count)")
                }
            }
        }
    }

    @Test func refusesOtherResultTypes() {
        var y: [Double] = [5]
        #expect(csimd_reduce(CSIMD_SUM, CSIMD_F64, 1, 1, 1, [1.0], 1, false, CSIMD_F32, &y) == CSIMD_INVALID_ARGUMENT)
        #expect(csimd_reduce(CSIMD_SUM, CSIMD_F16, 1, 1, 1, [1.0], 1, false, CSIMD_BF16, &y) == CSIMD_INVALID_ARGUMENT)
        #expect(
            csimd_reduce(csimd_reduce_op(4), CSIMD_F32, 1, 1, 1, [1.0], 1, false, CSIMD_F32, &y)
                == CSIMD_INVALID_ARGUMENT)
        #expect(y == [5])
    }
}

import CSIMD
import Glibc
import Testing

/// Conversions, bit for bit. The oracle decodes 16-bit patterns from their fields and knows rounding only by its definition:
/// what lies between two neighbours goes to the nearer one, the midpoint to the even one.
@Suite struct ConvertTests {
    struct Format: Sendable {
        let name: String
        let type: csimd_type
        let fractionBits: Int
        let bias: Int

        var infinity: UInt16 { UInt16((1 << (15 - fractionBits)) - 1) << UInt16(fractionBits) }
        var quietBit: UInt16 { 1 << UInt16(fractionBits - 1) }

        /// The value of a pattern without sign, as if the exponents went on past the largest finite value.
        func magnitude(_ pattern: UInt16) -> Double {
            let exponent = Int(pattern >> UInt16(fractionBits))
            let fraction = Int(pattern) & ((1 << fractionBits) - 1)
            let significand = exponent == 0 ? fraction : fraction + (1 << fractionBits)
            return Double(
                sign: .plus, exponent: max(exponent, 1) - bias - fractionBits, significand: Double(significand))
        }

        func isNaN(_ pattern: UInt16) -> Bool { pattern & 0x7FFF > infinity }
    }

    static let formats = [
        Format(name: "f16", type: CSIMD_F16, fractionBits: 10, bias: 15),
        Format(name: "bf16", type: CSIMD_BF16, fractionBits: 7, bias: 127),
    ]
    static let allTypes = [CSIMD_F32, CSIMD_F16, CSIMD_BF16, CSIMD_F64]
    static let patterns = Array(UInt16.min...UInt16.max)

    func convert<A: BitwiseCopyable, B: BitwiseCopyable>(_ x: [A], from: csimd_type, to: csimd_type, filler: B) -> [B] {
        var y = [B](repeating: filler, count: x.count)
        #expect(csimd_convert(from, x, to, &y, x.count) == CSIMD_OK)
        return y
    }

    /// The first index where the arrays differ, in words.
    func difference<T: BinaryInteger>(_ got: [T], _ expected: [T], _ label: (Int) -> String) -> String? {
        for index in got.indices where got[index] != expected[index] {
            let (found, wanted) = (String(got[index], radix: 16), String(expected[index], radix: 16))
            return "\(label(index)): got \(found), expected \(wanted)"
        }
        return nil
    }

    @Test(arguments: formats) func allPatternsWidenExactlyAndComeBack(_ format: Format) {
        let x = Self.patterns
        let expected32 = x.map { pattern -> UInt32 in
            let sign = UInt32(pattern & 0x8000) << 16
            let magnitude = pattern & 0x7FFF
            if magnitude == format.infinity { return sign | 0x7F80_0000 }
            if format.isNaN(pattern) {
                let payload = UInt32(magnitude | format.quietBit) << UInt32(23 - format.fractionBits)
                return sign | 0x7F80_0000 | payload & 0x7F_FFFF
            }
            return sign | Float(format.magnitude(magnitude)).bitPattern
        }
        let expected64 = expected32.map { bits -> UInt64 in
            let x = Float(bitPattern: bits)
            if !x.isNaN { return Double(x).bitPattern }
            return UInt64(bits & 0x8000_0000) << 32 | 0x7FF0_0000_0000_0000 | UInt64(bits & 0x7F_FFFF) << 29
        }
        let quieted = x.map { format.isNaN($0) ? $0 | format.quietBit : $0 }
        forEachRow { row in
            let label = { (index: Int) in "\(row) \(format.name) pattern \(index)" }
            let y: [UInt32] = convert(x, from: format.type, to: CSIMD_F32, filler: 0)
            #expect(difference(y, expected32, label) == nil)
            let wide: [UInt64] = convert(x, from: format.type, to: CSIMD_F64, filler: 0)
            #expect(difference(wide, expected64, label) == nil)
            #expect(difference(convert(y, from: CSIMD_F32, to: format.type, filler: 0), quieted, label) == nil)
            #expect(difference(convert(wide, from: CSIMD_F64, to: format.type, filler: 0), quieted, label) == nil)
            #expect(difference(convert(x, from: format.type, to: format.type, filler: 0), quieted, label) == nil)
        }
    }

    @Test(arguments: formats) func everyRoundingBoundaryAndItsNeighbours(_ format: Format) {
        var inputs: [Float] = []
        var expected: [UInt16] = []
        for pattern in 0..<format.infinity {
            let middle = Float((format.magnitude(pattern) + format.magnitude(pattern + 1)) / 2)  // exact
            inputs += [middle.nextDown, middle, middle.nextUp]
            expected += [pattern, pattern + (pattern & 1), pattern + 1]
        }
        inputs += inputs.map { -$0 }
        expected += expected.map { $0 | 0x8000 }
        // The same boundaries met from float64, where the nearest float32 of both neighbours is the boundary itself.
        let wide = inputs.indices.map { index -> Double in
            switch index % 3 {
            case 0: Double(inputs[index + 1]).towardZero
            case 1: Double(inputs[index])
            default: Double(inputs[index - 1]).awayFromZero
            }
        }
        forEachRow { row in
            let label = { (index: Int) in "\(row) \(format.name) of \(inputs[index]) (float64 \(wide[index]))" }
            #expect(difference(convert(inputs, from: CSIMD_F32, to: format.type, filler: 0), expected, label) == nil)
            #expect(difference(convert(wide, from: CSIMD_F64, to: format.type, filler: 0), expected, label) == nil)
        }
    }

    @Test func aSweepOfFloat32AgreesWithTheCompilersFloat16AndWithIntegerRounding() {
        let x = stride(from: UInt64(0), through: UInt64(UInt32.max), by: 25_771).map { UInt32($0) }
        let expectedHalf = x.map { bits -> UInt16 in
            let value = Float(bitPattern: bits)
            if value.isNaN { return UInt16(bits >> 16 & 0x8000 | 0x7E00 | bits >> 13 & 0x3FF) }
            return Float16(value).bitPattern
        }
        let expectedBrain = x.map { bits -> UInt16 in
            if Float(bitPattern: bits).isNaN { return UInt16(bits >> 16 | 0x40) }
            let (kept, rest) = (bits >> 16, bits & 0xFFFF)
            return UInt16(kept + (rest > 0x8000 || (rest == 0x8000 && kept & 1 == 1) ? 1 : 0))
        }
        forEachRow { row in
            let label = { (index: Int) in "\(row) of bits \(String(x[index], radix: 16))" }
            #expect(difference(convert(x, from: CSIMD_F32, to: CSIMD_F16, filler: 0), expectedHalf, label) == nil)
            #expect(difference(convert(x, from: CSIMD_F32, to: CSIMD_BF16, filler: 0), expectedBrain, label) == nil)
        }
    }

    @Test func float64RoundsToFloat32AndSignallingNaNBecomesQuiet() {
        let x: [UInt64] = [
            0, 1, 0x8000_0000_0000_0000, Double(0x1p-149).bitPattern, Double(0x1.8p-150).bitPattern,
            Double(1e39).bitPattern,
            Double(1.1).bitPattern, Double(-0x1.fffffefp127).bitPattern, 0x7FF0_0000_2000_0000, 0xFFF4_0000_0000_0001,
        ]
        let expected: [UInt32] = [
            0, 0, 0x8000_0000, 1, 1, 0x7F80_0000, Float(1.1).bitPattern, 0xFF7F_FFFF, 0x7FC0_0001, 0xFFE0_0000,
        ]
        forEachRow { row in
            let label = { (index: Int) in "\(row) element \(index)" }
            #expect(difference(convert(x, from: CSIMD_F64, to: CSIMD_F32, filler: 0), expected, label) == nil)
            let back: [UInt64] = convert([UInt32(0xFF80_0001)], from: CSIMD_F32, to: CSIMD_F64, filler: 0)
            #expect(back == [0xFFF8_0000_2000_0000])
            #expect(convert([UInt32(0xFF80_0001)], from: CSIMD_F32, to: CSIMD_F32, filler: UInt32(0)) == [0xFFC0_0001])
            #expect(
                convert([UInt64(0x7FF0_0000_0000_0001)], from: CSIMD_F64, to: CSIMD_F64, filler: UInt64(0))
                    == [0x7FF8_0000_0000_0001])
        }
    }

    @Test func everyShortLengthStaysInsideItsArraysAndEqualsTheReference() {
        let bytesOf = { (type: csimd_type) in type == CSIMD_F64 ? 8 : type == CSIMD_F32 ? 4 : 2 }
        let reference = csimd_row_count() - 1
        for from in Self.allTypes {
            for to in Self.allTypes {
                let x = GuardedBuffer<UInt8>(
                    (0..<130 * bytesOf(from)).map { UInt8(truncatingIfNeeded: $0 &* 73) }, fill: 0)
                let y = GuardedBuffer<UInt8>(count: 130 * bytesOf(to), fill: 0)
                defer {
                    x.release()
                    y.release()
                }
                for count in 0...130 {
                    let source = x.pointer + (130 - count) * bytesOf(from)
                    let target = y.pointer + (130 - count) * bytesOf(to)
                    var expected = [UInt8](repeating: 0, count: 130 * bytesOf(to))
                    csimd_set_thread_row(reference)
                    #expect(csimd_convert(from, source, to, &expected, count) == CSIMD_OK)
                    forEachRow { row in
                        y.elements.update(repeating: 0xA5)
                        #expect(csimd_convert(from, source, to, target, count) == CSIMD_OK)
                        let untouched = (130 - count) * bytesOf(to)
                        let ok =
                            y.elements.prefix(untouched).allSatisfy { $0 == 0xA5 }
                            && y.elements.dropFirst(untouched).elementsEqual(expected.prefix(count * bytesOf(to)))
                        #expect(ok, "\(row) from type \(from.rawValue) to \(to.rawValue), count \(count)")
                    }
                }
            }
        }
    }

    @Test func threadsAndStreamingStoresChangeNoBit() {
        // 24 MiB + 12 MiB: above the streaming threshold; the offset of one element makes the first vector a partial one.
        let count = 6 << 20
        let block = (0..<65_536).map { UInt32($0) &* 2_654_435_761 }
        let x = [UInt32](unsafeUninitializedCapacity: count) { buffer, initialized in
            for start in stride(from: 0, to: count, by: block.count) {
                (buffer.baseAddress! + start).initialize(from: block, count: block.count)
            }
            initialized = count
        }
        var expected = [UInt16](repeating: 0, count: count + 1)
        var got = expected
        for to in [CSIMD_F16, CSIMD_BF16] {
            csimd_set_thread_row(csimd_row_count() - 1)
            withThreads(1) { #expect(convertShifted(x, to: to, &expected) == CSIMD_OK) }
            forEachRow { row in
                for threads: Int32 in [1, 4] {
                    got[0] = 7
                    withThreads(threads) { #expect(convertShifted(x, to: to, &got) == CSIMD_OK) }
                    let same = memcmp(Array(got[1...]), Array(expected[1...]), 2 * count) == 0
                    #expect(same && got[0] == 7, "\(row), \(threads) threads")
                }
            }
        }
    }

    /// Converts into y from its second element on.
    func convertShifted(_ x: [UInt32], to: csimd_type, _ y: inout [UInt16]) -> csimd_status {
        y.withUnsafeMutableBufferPointer { csimd_convert(CSIMD_F32, x, to, $0.baseAddress! + 1, x.count) }
    }

    @Test func convertsInPlaceWhereTheSizesAgreeAndRefusesOtherwise() {
        forEachRow { _ in
            var x = (0..<37).map { Float16($0).bitPattern }
            x.withUnsafeMutableBytes { bytes in
                #expect(csimd_convert(CSIMD_F16, bytes.baseAddress, CSIMD_BF16, bytes.baseAddress, 37) == CSIMD_OK)
                #expect(
                    csimd_convert(CSIMD_F16, bytes.baseAddress, CSIMD_F32, bytes.baseAddress, 8)
                        == CSIMD_INVALID_ARGUMENT)
            }
            #expect(x == (0..<37).map { UInt16(Float($0).bitPattern >> 16) })
        }
        #expect(csimd_convert(csimd_type(9), nil, CSIMD_F32, nil, 1) == CSIMD_INVALID_ARGUMENT)
    }

    @Test func gatheredRowsAreNormalisedWithOneFusedMultiplyAdd() {
        let scale: Float = 1 / 0.353 / 255
        let shift: Float = -0.286 / 0.353
        let index: [Int64] = [2, 0, 2, 1]
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 64, 131] {
            let bytes = GuardedBuffer<UInt8>(
                (0..<3 * length).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }, fill: 0)
            defer { bytes.release() }
            let values = index.flatMap { row in (0..<length).map { bytes.elements[Int(row) * length + $0] } }
            let floats = values.map { shift.addingProduct(Float($0), scale) }
            forEachRow { row in
                let y = GuardedBuffer<Float>(count: values.count, fill: -1)
                let half = GuardedBuffer<Float16>(count: values.count, fill: -1)
                let wide = GuardedBuffer<Double>(count: values.count, fill: -1)
                defer {
                    y.release()
                    half.release()
                    wide.release()
                }
                func gather(_ type: csimd_type, _ result: UnsafeMutableRawPointer) -> csimd_status {
                    csimd_gather_normalize_u8(index.count, length, bytes.pointer, index, scale, shift, type, result)
                }
                #expect(gather(CSIMD_F32, y.pointer) == CSIMD_OK)
                #expect(gather(CSIMD_F16, half.pointer) == CSIMD_OK)
                #expect(gather(CSIMD_F64, wide.pointer) == CSIMD_OK)
                #expect(y.array == floats, "\(row), row length \(length)")
                #expect(half.array == floats.map { Float16($0) }, "\(row), row length \(length)")
                #expect(wide.array == values.map { Double(shift).addingProduct(Double($0), Double(scale)) })
                #expect(gather(CSIMD_BF16, half.pointer) == CSIMD_OK)
                let brain: [UInt16] = convert(floats, from: CSIMD_F32, to: CSIMD_BF16, filler: 0)
                #expect(half.array.map(\.bitPattern) == brain, "\(row), row length \(length)")
            }
        }
        let negative: [Int64] = [0, -1]
        var y: [Float] = [3, 3]
        #expect(csimd_gather_normalize_u8(2, 1, [1, 2], negative, 1, 0, CSIMD_F32, &y) == CSIMD_INVALID_ARGUMENT)
        #expect(y == [3, 3])
    }
}

extension Double {
    fileprivate var towardZero: Double { sign == .plus ? nextDown : nextUp }
    fileprivate var awayFromZero: Double { sign == .plus ? nextUp : nextDown }
}

// Casts between all element types, on every row that the machine has.
import NeedletailTensor
import Testing

@Suite struct CastTests {
    static let integers: [DType] = [.int32, .int64, .uint8, .bool]

    private func forEachRow(_ body: (String) -> Void) {
        defer { _ = KernelInfo.setThreadRow(nil) }
        for row in KernelInfo.rows where KernelInfo.setThreadRow(row.name) { body(row.name) }
    }

    /// Compares the cast with `T(nearest:)` of every element, which says what a cast is.
    private func check<Source: TensorScalar, Target: TensorScalar & Equatable>(
        _ values: [Source], _ target: Target.Type, _ expected: (Source) -> Target
    ) {
        let wanted = values.map(expected), x = Tensor(values)
        forEachRow { row in
            let found: [Target] = x.cast(to: Target.dtype).scalars()
            let bad = wanted.indices.first { found[$0] != wanted[$0] }
            #expect(
                bad == nil,
                "\(row): \(bad.map { "\(values[$0]) to \(Target.dtype): \(found[$0]), expected \(wanted[$0])" } ?? "")")
        }
    }

    private func checkToIntegers<Source: TensorScalar>(_ values: [Source]) {
        check(values, Int32.self) { Int32(nearest: $0.float64Value) }
        check(values, Int64.self) { Int64(nearest: $0.float64Value) }
        check(values, UInt8.self) { UInt8(nearest: $0.float64Value) }
        check(values, Bool.self) { Bool(nearest: $0.float64Value) }
    }

    /// Values around every limit of an integer type, and of both signs at every power of two.
    private static let awkward: [Double] = {
        var values: [Double] = [0, -0.0, .infinity, -.infinity, .nan, 0.5, -0.5, 0.999, -0.999, 255.5, 256, -1]
        for exponent in -3...66 {
            let power = Double(sign: .plus, exponent: exponent, significand: 1)
            for value in [power, power.nextUp, power.nextDown, power * 1.5, power - 1, power + 1] {
                values += [value, -value]
            }
        }
        return values
    }()

    @Test func sixteenBitTypesToIntegersExhaustively() {
        checkToIntegers((0...UInt16.max).map { Float16(bitPattern: $0) })
        checkToIntegers((0...UInt16.max).map { BFloat16(bitPattern: $0) })
    }

    @Test func wideTypesToIntegers() {
        checkToIntegers(Self.awkward)
        checkToIntegers(Self.awkward.map { Float($0) })
        checkToIntegers(
            stride(from: UInt64(0), through: UInt64(UInt32.max), by: 200_003).map { Float(bitPattern: UInt32($0)) })
    }

    /// The integer's magnitude rounded to `bits` significant bits, ties to even, in integer arithmetic.
    private func rounded(_ value: Int64, bits: Int) -> Double {
        let magnitude = value.magnitude, excess = 64 - magnitude.leadingZeroBitCount - bits
        if excess <= 0 { return Double(value) }
        var kept = magnitude >> excess
        let rest = magnitude - kept << excess, half = UInt64(1) << (excess - 1)
        if rest > half || (rest == half && kept % 2 == 1) { kept += 1 }
        let size = Double(kept) * Double(sign: .plus, exponent: excess, significand: 1)
        return value < 0 ? -size : size
    }

    /// Rounded once: at and beside every tie of a 16-bit type, float32 between them would round twice.
    @Test func integersToFloatingPointAreRoundedOnce() {
        var values: [Int64] = [0, .max, .min, .min + 1, .max - 1]
        var generator = SeededGenerator(seed: 9)
        let heads: [Int64] = [1, 3, 257, 259, 2049, 2051, 16_777_217, 16_777_219]
        for shift in 0..<62 {
            let lows: [Int64] = [0, 1, -1, 1 << Int64(shift / 2)]
            for (head, low) in heads.flatMap({ head in lows.map { (head << Int64(shift), $0) } }) {
                values.append(head &+ low)
                values.append(low &- head)
            }
            values.append(Int64(bitPattern: generator.next()) >> shift)
        }
        check(values, Float.self) { Float($0) }
        check(values, Double.self) { Double($0) }
        check(values, BFloat16.self) { BFloat16(Float(rounded($0, bits: 8))) }
        check(values, Float16.self) { Float16(rounded($0, bits: 11)) }
        let short = values.map { Int32(truncatingIfNeeded: $0) }, bytes = values.map { UInt8(truncatingIfNeeded: $0) }
        check(short, Float.self) { Float($0) }
        check(short, Double.self) { Double($0) }
        check(short, BFloat16.self) { BFloat16(Float(rounded(Int64($0), bits: 8))) }
        check(short, Float16.self) { Float16(rounded(Int64($0), bits: 11)) }
        check(bytes, Float.self) { Float($0) }
        check(bytes, Double.self) { Double($0) }
        check(bytes, BFloat16.self) { BFloat16(Float($0)) }
        check(bytes, Float16.self) { Float16(Float($0)) }
        check(values.map { $0 % 2 != 0 }, BFloat16.self) { $0 ? 1 : 0 }
        check(values.map { $0 % 2 != 0 }, Float.self) { $0 ? 1 : 0 }
    }

    @Test func integersToIntegersKeepTheLowBits() {
        let values = (0..<2000).map { Int64($0) &* 0x1E37_79B9_7F4A_7C15 } + [0, .max, .min, 256]
        func checkAll<Source: TensorScalar>(_ values: [Source]) {
            check(values, Int32.self) { Int32(nearest: $0.int64Value) }
            check(values, Int64.self) { Int64(nearest: $0.int64Value) }
            check(values, UInt8.self) { UInt8(nearest: $0.int64Value) }
            check(values, Bool.self) { Bool(nearest: $0.int64Value) }
        }
        checkAll(values)
        checkAll(values.map { Int32(truncatingIfNeeded: $0) })
        checkAll(values.map { UInt8(truncatingIfNeeded: $0) })
        checkAll(values.map { $0 % 3 == 0 })
    }

    @Test func threadsAndLengthsChangeNoElement() {
        let values = (0..<300_007).map { Float($0 % 4001) * 0.37 - 700 }
        for dtype in Self.integers {
            for source in floatingTypes {
                let x = Tensor(values).cast(to: source)
                let alone = withThreads(1) { x.cast(to: dtype) }, together = withThreads(4) { x.cast(to: dtype) }
                #expect(alone.bytes == together.bytes)
                #expect(alone.cast(to: source).bytes == withThreads(4) { alone.cast(to: source) }.bytes)
                for count in [0, 1, 63, 1025] {
                    let part = x[0..<count].cast(to: dtype)
                    #expect(part.bytes == alone[0..<count].bytes, "\(source) to \(dtype), \(count) elements")
                }
            }
        }
    }

    /// A detour through float64 would take neighbours beyond 2⁵³ for equals.
    @Test func argmaxOfIntegersIsExact() {
        let large = Int64(1) << 60
        let x = Tensor([large, large + 1, large - 1, large + 1] as [Int64])
        #expect(x.argmax().item() == 1)
        #expect(Tensor([Int64.min, .min + 1] as [Int64]).argmax().item() == 1)
        #expect(Tensor([3, 9, 9] as [Int32]).argmax().item() == 1)
        #expect(Tensor([false, true, true]).argmax().item() == 1)
    }
}

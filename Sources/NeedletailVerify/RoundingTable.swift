// Rounding to a 16-bit type by its definition: which float32 bit patterns must give which result.
package import NeedletailTensor

/// The intervals of non-negative float32 bit patterns that round to the same 16-bit pattern, in ascending order.
///
/// A value rounds to the nearest neighbour, at the middle between two to the one whose last bit is 0; both neighbours and the
/// middle are exact in float64, the middle in float32 too. Beyond the largest finite value the next power of two stands for
/// infinity. A NaN keeps its top fraction bits and becomes quiet.
package struct RoundingTable: Sendable {
    /// The 16-bit type.
    package let type: DType
    /// The first pattern of each interval; it ends before the next one's, the last at 0x7FFFFFFF.
    package let starts: [UInt32]
    /// What the interval's patterns give.
    package let results: [UInt16]

    /// The table of float16 or bfloat16.
    package init(_ type: DType) {
        self.type = type
        let infinity: UInt16 = type == .float16 ? 0x7C00 : 0x7F80
        var starts: [UInt32] = [0], results: [UInt16] = [0]
        for pattern in 1...infinity {
            let middle = Float(RoundingTable.middle(below: pattern, of: type))
            starts.append(middle.bitPattern + UInt32(pattern & 1))
            results.append(pattern)
        }
        let shift = type == .float16 ? 13 : 16
        let quiet: UInt16 = type == .float16 ? 0x200 : 0x40
        for payload in 0..<(1 << (23 - shift)) {
            starts.append(max(0x7F80_0000 + UInt32(payload << shift), 0x7F80_0001))
            results.append(infinity | quiet | UInt16(payload))
        }
        self.starts = starts
        self.results = results
    }

    /// What a float32 pattern of either sign must give.
    package func result(of pattern: UInt32) -> UInt16 {
        let magnitude = pattern & 0x7FFF_FFFF
        var (low, high) = (0, starts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= magnitude { low = middle } else { high = middle }
        }
        return results[low] | UInt16(pattern >> 16 & 0x8000)
    }

    /// The exact middle between a pattern's value and that of the pattern before it.
    static func middle(below pattern: UInt16, of type: DType) -> Double {
        (value(pattern - 1, type) + value(pattern, type)) / 2
    }

    /// The value of a non-negative pattern; the next power of two for infinity.
    static func value(_ pattern: UInt16, _ type: DType) -> Double {
        if type == .float16 { return pattern == 0x7C00 ? 65536 : Double(Float16(bitPattern: pattern)) }
        return pattern == 0x7F80 ? 0x1p128 : Double(BFloat16(bitPattern: pattern))
    }

    /// How far a value lies from the numbers that round to what was found, which is 0 where it rounds to it; NaN where a
    /// number was expected and none found. `found` is a value of the type.
    package static func distance(from exact: Double, toWhatRoundsTo found: Double, _ type: DType) -> Double {
        if found.isNaN || exact.isNaN { return found.isNaN && exact.isNaN ? 0 : .nan }
        let isWide = type == .float32 || type == .float64
        if isWide { return exact == found ? 0 : abs(exact - found) }
        let magnitude = abs(found)
        let bits = type == .float16 ? Float16(magnitude).bitPattern : BFloat16(magnitude).bitPattern
        let infinity: UInt16 = type == .float16 ? 0x7C00 : 0x7F80
        // Measured along the sign of what was found; zero lies on both sides.
        let along = found.sign == .minus ? -exact : exact
        let upper = bits == infinity ? Double.infinity : middle(below: bits + 1, of: type)
        let lower = bits == 0 ? -middle(below: 1, of: type) : middle(below: bits, of: type)
        return along > upper ? along - upper : along < lower ? lower - along : 0
    }
}

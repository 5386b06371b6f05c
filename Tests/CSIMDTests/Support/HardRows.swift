// Values at which statistics go wrong: offsets that dwarf the deviation, squares beyond the type, subnormals, outliers.
import CSIMD

/// What a row or a column of test values is like.
enum HardRow: CaseIterable {
    case constant, largestConstant, leastConstant, nearlyConstant, oneOff, alternating, ramp, largest, mixedLargest
    case subnormal, outlierFirst, large, normal

    /// `count` values of the type; each kind depends on the random numbers only.
    func values(_ count: Int, _ type: csimd_type, _ random: inout TestRandom) -> [Double] {
        let limits = TypeLimits(type)
        let offset = limits.rounded(type == CSIMD_F16 ? 12345.678 / 8 : 12345.678)
        let step = offset * limits.epsilon
        return (0..<count).map { index in
            let sign = random.uniform() < 0.5 ? -1.0 : 1, noise = random.uniform()
            switch self {
            case .constant: return offset
            case .largestConstant: return limits.largest
            case .leastConstant: return limits.least
            case .nearlyConstant: return limits.rounded(offset + step * (noise * 5 - 2).rounded())
            case .oneOff: return index == count / 3 ? limits.rounded(offset + step) : offset
            case .alternating: return index % 2 == 0 ? limits.rounded(offset * 3) : limits.rounded(-offset * 3)
            case .ramp: return limits.rounded(offset * 4 + Double(index) * step)
            case .largest: return sign * limits.largest
            case .mixedLargest: return limits.rounded(sign * limits.largest * noise)
            case .subnormal: return sign * limits.least * (noise * 100).rounded()
            case .outlierFirst: return limits.rounded(index == 0 ? offset : noise)
            case .large: return limits.rounded(sign * limits.largest.squareRoot() * (1 + noise))
            case .normal: return limits.rounded(sign * noise * 3 + 1)
            }
        }
    }
}

/// The largest and the least positive value of a type, and the distance from 1 to the next.
struct TypeLimits {
    let type: csimd_type
    let largest: Double, least: Double, epsilon: Double

    init(_ type: csimd_type) {
        self.type = type
        switch type {
        case CSIMD_F64: (largest, least, epsilon) = (0x1.fffffffffffffp1023, 0x1p-1074, 0x1p-52)
        case CSIMD_F16: (largest, least, epsilon) = (65504, 0x1p-24, 0x1p-10)
        case CSIMD_BF16: (largest, least, epsilon) = (0x1.fep127, 0x1p-133, 0x1p-7)
        default: (largest, least, epsilon) = (0x1.fffffep127, 0x1p-149, 0x1p-23)
        }
    }

    /// x as a value of the type, never beyond its largest.
    func rounded(_ x: Double) -> Double {
        let x = min(max(x, -largest), largest)
        switch type {
        case CSIMD_F64: return x
        case CSIMD_F16: return Double(Float16(x))
        case CSIMD_BF16: return Double(Float(bitPattern: UInt32(TypedBuffer.bfloat16Bits(Float(x))) << 16))
        default: return Double(Float(x))
        }
    }

    /// Whether `found` is `exact` to within the bound, infinite only where that reaches beyond the type.
    func isNear(_ found: Double, _ exact: Wide, within bound: Wide) -> Bool {
        if found.isInfinite { return abs(exact) + bound > Wide(largest) && (found < 0) == (exact < 0) }
        return abs(Wide(found) - exact) <= bound
    }
}

#if arch(x86_64)
    /// References of float64 kernels: 64 bits, and an exponent that no square of a Double overflows.
    typealias Wide = Float80
#else
    typealias Wide = Double
#endif

/// Exact statistics of values, and how far those of a kernel may be from them.
struct ReferenceStatistics {
    let mean: Wide, variance: Wide
    /// The mean's distance from the first value, which has more digits where that is near.
    private let first: Wide, distance: Wide
    /// 1 / √(variance + ε).
    let inverse: Wide
    /// The bounds on the errors of mean and variance, and on the relative one of the inverse deviation.
    let meanError: Wide, varianceError: Wide, inverseError: Wide
    private let u: Wide, rest: Wide
    /// The least positive value of the arithmetic's type.
    let least: Wide

    /// With k additions one after another in float32 (float64 for f64), about an element o that is one of `origins` but not the
    /// farthest of three: the mean is off by k u mean|x - o| <= k u (σ + |o - mean|) =: e. Squares are summed about c, the mean's
    /// nearest value in the arithmetic's type, r from it: the variance is off by (k + 2) u (σ² + r²) + 2 r e + e², and its root's
    /// inverse by half of that relative to variance + ε, and 3 u.
    init(_ x: [Double], _ type: csimd_type, centered: Bool, epsilon: Double, additions k: Double, origins: [Int]) {
        let count = Wide(x.count), first = centered ? Wide(x[0]) : 0
        let distance = centered ? x.reduce(0) { $0 + (Wide($1) - first) } / count : 0
        let mean = first + distance
        variance =
            x.reduce(0) {
                let d = Wide($1) - first - distance
                return $0 + d * d
            } / count
        inverse = 1 / (variance + Wide(epsilon)).squareRoot()
        u = Wide(arithmeticRoundoff(type))
        let distances = origins.map { abs(Wide(x[$0]) - first - distance) }.sorted()
        let far = distances.count == 3 ? distances[1] : distances[0]
        least = type == CSIMD_F64 ? 0x1p-1074 : 0x1p-149
        // Means of float32 values are float64; those of float64 ones are multiples of its least.
        let rounding = type == CSIMD_F64 ? 3 * least : 0
        meanError = centered ? Wide(k) * u * (variance.squareRoot() + far) + rounding : 0
        let center = type == CSIMD_F64 ? Wide(Double(mean)) : Wide(Float(mean))
        rest = abs(first - center + distance) + meanError
        varianceError =
            (Wide(k) + 2) * u * (variance + rest * rest) + 2 * rest * meanError + meanError * meanError
        inverseError = varianceError * inverse * inverse / 2 * 1.01 + 3 * u
        (self.mean, self.first, self.distance) = (mean, first, distance)
    }

    func normalized(_ x: Double) -> Wide { (Wide(x) - first - distance) * inverse }

    /// Of the normalised value: the mean's error, the inverse's, and the roundings of x - c, of the offset and of the result, the
    /// latter two at least half of the least positive value.
    func error(_ x: Double) -> Wide {
        let n = abs(normalized(x))
        return meanError * inverse * (1 + inverseError) + n * inverseError + 3 * u * (n + rest * inverse) + 2 * least
    }
}

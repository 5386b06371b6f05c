// Normalisations and statistics of tensors whose values are hard for float32: all kinds, types and rows of kernels.
import NeedletailTensor
import Testing

#if arch(x86_64)
    private typealias Wide = Float80
#else
    private typealias Wide = Double
#endif

/// A way to normalise [4, 6, 7]: which elements share statistics, and the operation.
private struct HardCase: CustomTestStringConvertible, Sendable {
    let name: String
    let sets: [[Int]]
    let isCentered: Bool
    let apply: @Sendable (Tensor) -> Tensor
    var testDescription: String { name }

    static let shape = [4, 6, 7]
    private static func sets(_ key: (_ n: Int, _ channel: Int) -> Int) -> [[Int]] {
        var sets: [Int: [Int]] = [:]
        for index in 0..<168 { sets[key(index / 42, index / 7 % 6), default: []].append(index) }
        return sets.keys.sorted().map { sets[$0]! }
    }

    static let all = [
        HardCase(name: "layerNorm", sets: sets { $0 * 6 + $1 }, isCentered: true) { layerNorm($0) },
        HardCase(name: "rmsNorm", sets: sets { $0 * 6 + $1 }, isCentered: false) { rmsNorm($0) },
        HardCase(name: "batchNormalization", sets: sets { $1 }, isCentered: true) { batchNormalization($0).result },
        HardCase(name: "groupNormalization", sets: sets { $0 * 6 + $1 / 3 }, isCentered: true) {
            groupNormalization($0, groups: 2)
        },
        HardCase(name: "one group", sets: sets { n, _ in n }, isCentered: true) { groupNormalization($0, groups: 1) },
        HardCase(name: "instance normalisation", sets: sets { $0 * 6 + $1 }, isCentered: true) {
            groupNormalization($0, groups: 6)
        },
    ]
}

/// The largest and least positive values of a type, and the distance from 1 to the next.
private func limits(_ dtype: DType) -> (largest: Double, least: Double, epsilon: Double) {
    switch dtype {
    case .float16: (65504, 0x1p-24, 0x1p-10)
    case .bfloat16: (0x1.fep127, 0x1p-133, 0x1p-7)
    case .float32: (0x1.fffffep127, 0x1p-149, 0x1p-23)
    default: (0x1.fffffffffffffp1023, 0x1p-1074, 0x1p-52)
    }
}

private enum HardValues: String, CaseIterable {
    case constant, largestConstant, subnormalConstant, nearlyConstant, alternating, ramp, largest, subnormal, huge,
        normal

    func values(_ count: Int, _ dtype: DType) -> Tensor {
        var generator = SeededGenerator(seed: 11)
        let (largest, least, epsilon) = limits(dtype)
        let offset = dtype == .float16 ? 1543.0 : 12345.678
        return Tensor(
            (0..<count).map { index -> Double in
                let sign = Bool.random(using: &generator) ? 1.0 : -1,
                    step = Double(Int.random(in: -2...2, using: &generator))
                return switch self {
                case .constant: offset
                case .largestConstant: largest
                case .subnormalConstant: least * 3
                case .nearlyConstant: offset * (1 + epsilon * step)
                case .alternating: index % 2 == 0 ? offset : -offset
                case .ramp: offset * (4 + epsilon * Double(index))
                case .largest: sign * largest
                case .subnormal: step * least
                case .huge: largest.squareRoot() * (step + 0.5)
                case .normal: 1 + sign * step
                }
            }
        ).cast(to: dtype)
    }
}

private func onEveryRow(_ body: (String) -> Void) {
    for row in KernelInfo.rows where row.supported {
        #expect(KernelInfo.setThreadRow(row.name))
        body(row.name)
    }
    #expect(KernelInfo.setThreadRow(nil))
}

@Suite struct HardNormalizationTests {
    /// n = 168 values at most: with k = 64 additions (float64: 168 + 16) and o one of the values, the error of x̂ is at most
    /// K (1 + |x̂|) u with K = 2 k (1 + √n) (docs/numerics.md; |o - mean| <= σ √n); of dx, 4 K u times inverse (|g| + G + |x̂| H),
    /// G and H the means of |g| and |g x̂|, by the chain of that. u is that of the arithmetic; the result is rounded once more.
    @Test(arguments: HardCase.all)
    private func resultsAndGradientsAreRight(_ test: HardCase) {
        let count = HardCase.shape.reduce(1, *)
        for dtype in floatingTypes {
            let u: Wide = dtype == .float64 ? 0x1p-53 : 0x1p-24, (largest, least, _) = limits(dtype)
            let k: Wide = 2 * (dtype == .float64 ? 184 : 64) * (1 + Wide(count).squareRoot())
            for kind in HardValues.allCases {
                let x = kind.values(count, dtype).reshape(HardCase.shape)
                for slopes in [HardValues.normal, .largest] {
                    // So that sums of dy x stay within float64.
                    let scale = slopes == .largest && dtype == .float64 ? 0x1p-600 : 1
                    let dy = (slopes.values(count, dtype) * scale).reshape(HardCase.shape)
                    let (xs, gs) = (
                        x.scalars(as: Double.self).map { Wide($0) }, dy.scalars(as: Double.self).map { Wide($0) }
                    )
                    var exact = [Wide](repeating: 0, count: count), bound = exact, dx = exact, dxBound = exact
                    for own in test.sets {
                        // Distances from one of the values: where it is near the mean they have the more digits.
                        let n = Wide(own.count), first = test.isCentered ? xs[own[0]] : 0
                        let distances = own.map { xs[$0] - first }
                        let mean = test.isCentered ? distances.reduce(0, +) / n : 0
                        let variance = distances.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n
                        let inverse = 1 / (variance + 1e-5).squareRoot()
                        func normal(_ index: Int) -> Wide { (xs[index] - first - mean) * inverse }
                        let slope = test.isCentered ? own.reduce(0) { $0 + gs[$1] } / n : 0
                        let product = own.reduce(0) { $0 + gs[$1] * normal($1) } / n
                        let sizes = own.reduce(0) { $0 + abs(gs[$1]) } / n
                        let products = own.reduce(0) { $0 + abs(gs[$1] * normal($1)) } / n
                        for index in own {
                            exact[index] = normal(index)
                            bound[index] = k * u * (1 + abs(exact[index]))
                            dx[index] = inverse * (gs[index] - slope - exact[index] * product)
                            let size = abs(gs[index]) + sizes * (1 + abs(exact[index])) + abs(exact[index]) * products
                            dxBound[index] = 4 * k * u * inverse * size + Wide(least)
                        }
                    }
                    let unit = Wide(unitRoundoff(dtype))
                    onEveryRow { row in
                        let tracked = x.trackingGradient()
                        let y = test.apply(tracked)
                        let gradient = gradients(of: (y * dy).sum(), withRespectTo: [tracked])[0]
                        let label = "\(row) \(test.name) \(dtype) \(kind) \(slopes)"
                        for (found, exact, bound, what) in [(y, exact, bound, "y"), (gradient, dx, dxBound, "dx")] {
                            let values = found.scalars(as: Double.self)
                            let wrong = values.indices.first { index in
                                let allowed = bound[index] + (abs(exact[index]) + bound[index]) * unit + Wide(least)
                                if values[index].isInfinite { return abs(exact[index]) + allowed < Wide(largest) }
                                return !(abs(Wide(values[index]) - exact[index]) <= allowed)
                            }
                            if let wrong {
                                Issue.record(
                                    "\(label) \(what)[\(wrong)]: \(values[wrong]), expected \(exact[wrong]) ± \(bound[wrong])"
                                )
                            }
                        }
                        let isConstant = [.constant, .largestConstant, .subnormalConstant].contains(kind)
                        if isConstant && test.isCentered {
                            #expect(y.scalars(as: Double.self).allSatisfy { $0 == 0 }, "\(label)")
                        }
                    }
                }
            }
        }
    }

    /// Variance and mean: relative to the exact variance as above with |x̂| at most √n; a constant has the variance 0.
    @Test func variancesAreRight() {
        for dtype in floatingTypes {
            let u: Wide = dtype == .float64 ? 0x1p-53 : 0x1p-24, (largest, least, _) = limits(dtype)
            for kind in HardValues.allCases {
                for shape in [[1, 3], [2, 9], [3, 1000], [1, 4099]] {
                    let x = kind.values(shape[0] * shape[1], dtype).reshape(shape)
                    let values = x.scalars(as: Double.self).map { Wide($0) }, n = shape[1]
                    let exact = (0..<shape[0]).map { row -> (mean: Wide, variance: Wide) in
                        let own = values[row * n..<(row + 1) * n].map { $0 - values[row * n] }
                        let mean = own.reduce(0, +) / Wide(n)
                        let squares = own.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
                        return (values[row * n] + mean, squares / Wide(n - 1))
                    }
                    onEveryRow { row in
                        for turned in [false, true] {
                            let input = turned ? x.transposed().contiguous() : x, axes = [turned ? 0 : 1]
                            let variances = input.variance(axes: axes).scalars(as: Double.self)
                            let means = input.mean(axes: axes).scalars(as: Double.self)
                            for (index, exact) in exact.enumerated() {
                                let label = "\(row) \(dtype) \(kind) \(shape) \(turned)"
                                let unit = Wide(unitRoundoff(dtype))
                                let bound = exact.variance * (400 * u + unit) + Wide(least)
                                let isInfinite = variances[index] == .infinity && exact.variance + bound > Wide(largest)
                                #expect(
                                    isInfinite || abs(Wide(variances[index]) - exact.variance) <= bound,
                                    "\(label) variance \(variances[index]), expected \(exact.variance)")
                                let size = values.reduce(0) { Swift.max($0, abs($1)) }
                                let off = abs(Wide(means[index]) - exact.mean)
                                let roundings: Wide = dtype == .float64 ? 600 : 130
                                #expect(
                                    off <= size * (roundings * u + unit) + Wide(least), "\(label) mean \(means[index])")
                            }
                        }
                    }
                }
            }
        }
    }
}

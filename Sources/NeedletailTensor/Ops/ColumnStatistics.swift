// Mean and variance of the channels of a batch, by which batch and group normalisation go.
import Foundation

/// Mean and variance of each channel of each instance, channels of a group having the same.
struct ColumnStatistics: Sendable {
    /// mean + correction is the mean of unit x: mean a value of the accumulation type, correction what it cannot hold of a mean.
    private(set) var mean: [Double], correction: [Double]
    /// The mean squared difference of unit x from it.
    private(set) var variance: [Double]
    /// Powers of two: 1 but for float64 values whose squares are beyond float64.
    private(set) var unit: [Double]

    /// Given ones, for x of this type.
    init(mean given: [Double], variance: [Double], type: DType) {
        mean = given.map { type == .float64 ? $0 : Double(Float($0)) }
        correction = zip(given, mean).map { $0 - $1 }
        self.variance = variance
        unit = given.map { _ in 1 }
    }

    /// Those of x itself.
    init(of x: Tensor, _ layout: ColumnLayout, groups: Int, epsilon: Double) {
        unit = [Double](repeating: 1, count: layout.values)
        (mean, correction, variance) = Self.moments(x, layout, epsilon)
        joinGroups(of: layout.channels / groups, x.dtype)
        guard x.dtype == .float64, variance.contains(where: { !$0.isFinite }) else { return }
        unit = variance.map { $0.isFinite ? 1 : 0x1p-600 }
        (mean, correction, variance) = Self.moments(operand(x, layout, inFloat64: false), layout, 0)
        joinGroups(of: layout.channels / groups, x.dtype)
    }

    private static func moments(
        _ x: Tensor, _ layout: ColumnLayout, _ epsilon: Double
    ) -> ([Double], [Double], [Double]) {
        let moments = Kernels.moments(x, layout, epsilon: epsilon)
        return (moments.mean.scalars(), moments.correction.scalars(), moments.variance.scalars())
    }

    /// Gives channels that follow one another the statistics of all their values. Means count from the group's first, so that a
    /// large one costs the differences no digits.
    private mutating func joinGroups(of size: Int, _ type: DType) {
        guard size > 1 else { return }
        for first in stride(from: 0, to: mean.count, by: size) {
            let own = first..<first + size
            let base = mean[first]
            let distances = own.map { mean[$0] - base + correction[$0] }
            let distance = distances.reduce(0, +) / Double(size)
            let spread = zip(own, distances).reduce(0) { $0 + variance[$1.0] + ($1.1 - distance) * ($1.1 - distance) }
            let joint = type == .float64 ? base + distance : Double(Float(base + distance))
            for index in own {
                (mean[index], correction[index]) = (joint, base - joint + distance)
                variance[index] = spread / Double(size)
            }
        }
    }

    /// 1 / √(unit² (variance of x + ε)).
    func inverses(_ epsilon: Double) -> [Double] {
        variance.indices.map {
            unit[$0] == 1
                ? 1 / (variance[$0] + epsilon).squareRoot()
                : 1 / (hypot(variance[$0].squareRoot() / unit[$0], epsilon.squareRoot()) * unit[$0])
        }
    }

    /// Those of x, for running averages.
    func ofBatch(count: Int) -> BatchStatistics {
        BatchStatistics(
            mean: mean.indices.map { (mean[$0] + correction[$0]) / unit[$0] },
            variance: variance.indices.map { variance[$0] / unit[$0] / unit[$0] }, count: count)
    }

    /// unit x, in float64 if asked for.
    func operand(_ x: Tensor, _ layout: ColumnLayout, inFloat64: Bool) -> Tensor {
        let x = inFloat64 ? x.detached().cast(to: .float64) : x
        guard unit.contains(where: { $0 != 1 }) else { return x }
        let columns = x.detached().reshape([layout.instances, layout.rows, layout.channels])
        return (columns * Tensor(unit).reshape([layout.instances, 1, layout.channels])).reshape(x.shape)
    }
}

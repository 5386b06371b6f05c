// The exponents of a tensor's values, in one read.

/// The histogram of x times `scale`, the product formed in float64: exact for a power of two and any type but float64.
///
/// Shapes: any. Precision: any floating-point type; traps for others.
package func exponentHistogram(_ x: Tensor, scale: Double = 1) -> ExponentHistogram {
    require(x.dtype.isFloatingPoint, "exponentHistogram: found \(x.dtype), expected a floating-point type")
    return x.dtype.accept(Kernels.CountExponents(x: x.detached().contiguous(), scale: scale))
}

extension Kernels {
    /// Through float64, which holds the values of every type, subnormal ones too, as normal numbers.
    fileprivate struct CountExponents: ScalarVisitor {
        let x: Tensor
        let scale: Double

        func visit<T: TensorScalar>(_ type: T.Type) -> ExponentHistogram {
            var histogram = ExponentHistogram()
            var nonFinite = 0, zeros = 0
            var smallest = Double.infinity, largest = 0.0
            var float16 = ExponentHistogram.Losses(), bfloat16 = ExponentHistogram.Losses()
            withMemory(of: x.elements(T.self)) { values in
                for value in values {
                    let magnitude = (value.float64Value * scale).magnitude
                    guard magnitude.isFinite else {
                        nonFinite += 1
                        continue
                    }
                    guard magnitude > 0 else {
                        zeros += 1
                        continue
                    }
                    histogram.counts[Int(magnitude.exponent) - ExponentHistogram.exponents.lowerBound] += 1
                    smallest = min(smallest, magnitude)
                    largest = max(largest, magnitude)
                    float16.count(magnitude, zero: 0x1p-25, normal: 0x1p-14, infinite: 65520)
                    bfloat16.count(magnitude, zero: 0x1p-134, normal: 0x1p-126, infinite: 0x1.FFp127)
                }
            }
            histogram.zeros = zeros
            histogram.nonFinite = nonFinite
            histogram.finiteNonZero = x.count - zeros - nonFinite
            histogram.smallest = smallest
            histogram.largest = largest
            histogram.float16 = float16
            histogram.bfloat16 = bfloat16
            return histogram
        }
    }
}

extension ExponentHistogram.Losses {
    /// `zero` is the largest magnitude that rounds to zero, `normal` the smallest normal one, `infinite` the smallest that
    /// rounds to infinity.
    @inline(__always)
    fileprivate mutating func count(_ magnitude: Double, zero: Double, normal: Double, infinite: Double) {
        if magnitude >= normal {
            if magnitude >= infinite { saturated += 1 }
        } else if magnitude <= zero {
            flushed += 1
        } else {
            subnormal += 1
        }
    }
}

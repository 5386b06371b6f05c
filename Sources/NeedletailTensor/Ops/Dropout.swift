// Random zeroing.

/// Zeroes each element with the given probability and scales the others by 1 / (1 - probability).
///
/// Element i in row-major order takes word i of what `generator` gives next, and is kept where the word's uniform number is at
/// least `probability`; the generator moves on by as many words as there are elements.
/// Precision: the kept elements are scaled in float32 and rounded once. Gradients: dy through the same mask, which is drawn
/// again, not stored.
public func dropout(_ x: Tensor, probability: Double, using generator: inout SeededGenerator) -> Tensor {
    require(probability >= 0 && probability <= 1, "dropout: probability \(probability) is outside [0, 1]")
    require(x.dtype.isFloatingPoint, "dropout: found \(x.dtype), expected a floating-point type")
    if probability == 0 { return x }
    let source = generator
    generator.skip(UInt64(x.count))
    return Kernels.dropout(x.detached().contiguous(), probability: probability, generator: source).recorded(
        "dropout", [x]
    ) {
        [Kernels.dropout($0.contiguous(), probability: probability, generator: source)]
    }
}

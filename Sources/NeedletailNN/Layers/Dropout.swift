// Random zeroing of activations while training.
public import NeedletailTensor

/// In training sets each element to zero with probability p and scales the others by 1 / (1 - p); else returns x.
///
/// The mask is a function of the layer's generator alone, which counts on from call to call; checkpoints save it.
/// Layers need different seeds, or they drop the same positions: `init(_:using:)` sees to that.
/// Shapes and type: y as x. Gradients: dx = mask dy / (1 - p).
public final class Dropout: Module, Layer, RandomStateHolder {
    /// The probability p that an element is zeroed.
    public let probability: Double
    /// Where the next mask comes from.
    public var generator: SeededGenerator

    /// Makes a layer with a generator of its own.
    public init(_ probability: Double = 0.5, seed: UInt64) {
        require(
            probability >= 0 && probability <= 1, "Dropout(\(probability)): the probability must lie in [0, 1]")
        self.probability = probability
        generator = SeededGenerator(seed: seed)
    }

    /// Makes a layer whose seed is drawn from `generator`.
    public convenience init(_ probability: Double = 0.5, using generator: inout SeededGenerator) {
        self.init(probability, seed: generator.next())
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor {
        guard isTraining && probability > 0 else { return x }
        return dropout(x, probability: probability, using: &generator)
    }
}

// Layers applied one after another, activations fused into the layers before them.
public import NeedletailTensor

/// A layer whose last pass can apply an activation, its own or that of the layer behind it.
protocol FusingLayer: Layer {
    /// The function applied to the result.
    var activation: Activation { get }
    /// The layer's result with another activation than its own.
    func forward(_ x: Tensor, activation: Activation) -> Tensor
}

/// y = layers[n - 1](… layers[0](x)): parameters are named by position, "0.weight", "2.weight", as in PyTorch.
///
/// A linear layer, convolution or normalisation without activation that is followed by `ReLU` or `GELU` applies it in its own
/// last pass; positions, and so names, stay those of the list.
///
///     let net = Sequential([Flatten(), Linear(784, 128, using: &g), ReLU(), Linear(128, 10, using: &g)])
public final class Sequential: Module, Layer {
    /// The layers in order.
    public let layers: [any Layer]

    private enum Step {
        case layer(any Layer)
        case fused(any FusingLayer, Activation)
    }
    private let steps: [Step]

    /// Makes a chain of layers.
    public init(_ layers: [any Layer]) {
        self.layers = layers
        var steps: [Step] = []
        var index = 0
        while index < layers.count {
            if let layer = layers[index] as? any FusingLayer, layer.activation == .identity, index + 1 < layers.count,
                let activation = Self.activation(of: layers[index + 1])
            {
                steps.append(.fused(layer, activation))
                index += 2
            } else {
                steps.append(.layer(layers[index]))
                index += 1
            }
        }
        self.steps = steps
    }

    /// Makes a chain of layers.
    public convenience init(_ layers: any Layer...) { self.init(layers) }

    public override func members() -> [ModuleMember] {
        layers.enumerated().map { .module(String($0.offset), $0.element) }
    }

    /// y for `x`, by the formula above.
    public func forward(_ x: Tensor) -> Tensor {
        steps.reduce(x) { x, step in
            switch step {
            case .layer(let layer): layer(x)
            case .fused(let layer, let activation):
                layer.calling { layer.observed(layer.forward(x, activation: activation)) }
            }
        }
    }

    /// How many layers carry a fused activation of the next layer.
    package var fusedCount: Int {
        steps.count { if case .fused = $0 { true } else { false } }
    }

    private static func activation(of layer: any Layer) -> Activation? {
        switch layer {
        case is ReLU: .relu
        case is GELU: .gelu
        default: nil
        }
    }
}

// `--model mlp`: the tutorial's multilayer perceptron.
import Needletail

/// Linear layers with ReLU between them.
///
/// ```text
/// x [n, height, width] -> flattened [n, height * width] -> hidden[0] -> … -> logits [n, classes]
/// ```
///
/// Parameters are named `layer1.weight`, `layer1.bias`, `layer2.weight`, …, as PyTorch names a model's attributes.
final class PerceptronNetwork: Module, ImageNetwork {
    private let layers: [Linear]

    /// `sizes`: the lengths of the rows that enter each layer, and of the one that leaves the last.
    init(sizes: [Int], using generator: inout SeededGenerator) {
        var layers: [Linear] = []
        for index in 1..<sizes.count {
            let isLast = index == sizes.count - 1
            layers.append(
                Linear(sizes[index - 1], sizes[index], activation: isLast ? .identity : .relu, using: &generator))
        }
        self.layers = layers
    }

    override func members() -> [ModuleMember] {
        layers.enumerated().map { .module("layer\($0.offset + 1)", $0.element) }
    }

    func forward(_ x: Tensor) -> Tensor { layers.reduce(x.flattened(from: 1)) { $1($0) } }

    static func parameterShapes(sizes: [Int]) -> [(name: String, shape: [Int])] {
        zip(1..., zip(sizes, sizes.dropFirst())).flatMap { index, size in
            [("layer\(index).weight", [size.1, size.0]), ("layer\(index).bias", [size.1])]
        }
    }
}

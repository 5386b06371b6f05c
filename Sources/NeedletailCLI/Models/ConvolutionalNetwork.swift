// `--model cnn`: a small convolutional classifier.
import Needletail

/// Three convolutions, two poolings, two linear layers.
///
/// ```text
/// x [n, 1, height, width] -> conv 32, ReLU -> conv 64, ReLU -> max-pool 2
///   -> conv 128, batch norm, ReLU -> max-pool 2 -> flattened -> linear 256, ReLU -> dropout 0.5 -> logits [n, classes]
/// ```
///
/// Kernels are 3x3 with one row of zeros around the image, so that only pooling makes it smaller.
final class ConvolutionalNetwork: Module, ImageNetwork {
    private let conv1: Conv2d, conv2: Conv2d, conv3: Conv2d
    private let norm3: BatchNorm2d
    private let linear1: Linear, linear2: Linear
    private let dropout: Dropout
    private let pool = MaxPool2d(2)

    /// The least height and width of images.
    static let leastSide = 4

    init(height: Int, width: Int, classes: Int, using generator: inout SeededGenerator) {
        conv1 = Conv2d(1, 32, kernel: 3, .padding(1), activation: .relu, using: &generator)
        conv2 = Conv2d(32, 64, kernel: 3, .padding(1), activation: .relu, using: &generator)
        conv3 = Conv2d(64, 128, kernel: 3, .padding(1), using: &generator)
        norm3 = BatchNorm2d(128, activation: .relu)
        linear1 = Linear(128 * (height / 4) * (width / 4), 256, activation: .relu, using: &generator)
        linear2 = Linear(256, classes, using: &generator)
        dropout = Dropout(0.5, using: &generator)
    }

    func forward(_ x: Tensor) -> Tensor {
        let images = x.reshape([x.shape[0], 1, x.shape[1], x.shape[2]])
        let halves = pool(conv2(conv1(images)))
        let quarters = pool(norm3(conv3(halves)))
        return linear2(dropout(linear1(quarters.flattened(from: 1))))
    }

    static func parameterShapes(height: Int, width: Int, classes: Int) -> [(name: String, shape: [Int])] {
        let inputs = 128 * (height / 4) * (width / 4)
        return [
            ("conv1.weight", [32, 1, 3, 3]), ("conv1.bias", [32]), ("conv2.weight", [64, 32, 3, 3]),
            ("conv2.bias", [64]),
            ("conv3.weight", [128, 64, 3, 3]), ("conv3.bias", [128]), ("norm3.weight", [128]), ("norm3.bias", [128]),
            ("linear1.weight", [256, inputs]), ("linear1.bias", [256]), ("linear2.weight", [classes, 256]),
            ("linear2.bias", [classes]),
        ]
    }
}

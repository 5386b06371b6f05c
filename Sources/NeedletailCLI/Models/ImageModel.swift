// The models that the commands can build for images: one file a model in this folder.
import ArgumentParser
import Needletail

/// A model by name.
enum ImageModel: String, Codable, CaseIterable, ExpressibleByArgument {
    /// Linear layers with ReLU between them.
    case mlp
    /// Convolutions, pooling and two linear layers.
    case cnn

    func network(_ configuration: ClassifierConfiguration, using generator: inout SeededGenerator) -> any ImageNetwork {
        switch self {
        case .mlp: PerceptronNetwork(sizes: configuration.sizes, using: &generator)
        case .cnn:
            ConvolutionalNetwork(
                height: configuration.images.height, width: configuration.images.width,
                classes: configuration.images.classes, using: &generator)
        }
    }

    /// Names and shapes of the parameters that such a network has, without building it.
    func parameterShapes(_ configuration: ClassifierConfiguration) -> [(name: String, shape: [Int])] {
        switch self {
        case .mlp: PerceptronNetwork.parameterShapes(sizes: configuration.sizes)
        case .cnn:
            ConvolutionalNetwork.parameterShapes(
                height: configuration.images.height, width: configuration.images.width,
                classes: configuration.images.classes)
        }
    }
}

/// From images [n, height, width] to logits [n, classes].
protocol ImageNetwork: Layer {}

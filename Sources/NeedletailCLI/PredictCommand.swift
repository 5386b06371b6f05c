// `needletail predict`.
import ArgumentParser
import Needletail
import NeedletailFiles

struct PredictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Print class and probabilities of images.",
        discussion: """
            Inputs, told apart by their content:
              PNG    any kind; colour becomes luminance, transparency is composed on black, the size must be the model's
              raw    height x width bytes, row by row, 0 is black
              IDX    unsigned bytes [height, width] or [images, height, width], gzipped or not

            As in the training data, MNIST digits are light on black. One line an image: input, class, probabilities.
            """)

    @Argument(help: "A checkpoint, or the folder given to train --checkpoint.")
    var checkpoint: String

    @Argument(help: "Image files.")
    var inputs: [String]

    @OptionGroup var threads: ThreadOptions

    @Flag(help: "Print one JSON object a line: input, index, class, probabilities.")
    var json = false

    func validate() throws { try checkPaths([("checkpoint", checkpoint)] + inputs.map { ("inputs", $0) }) }

    func run() throws {
        threads.apply()
        let classifier = try TrainedClassifier(path: checkpoint)
        let format = classifier.model.configuration.images
        let images = try inputs.flatMap {
            try InputImage.read($0, height: format.height, width: format.width)
        }
        let dataset = try ImageDataset(
            images: Tensor(images.flatMap(\.pixels), shape: [images.count, format.height, format.width]),
            labels: Tensor.zeros([images.count], dtype: .int64), classCount: format.classes, mean: format.mean,
            deviation: format.deviation, maximum: format.maximum)
        let loader = DataLoader(dataset, batchSize: evaluationBatchSize)
        let rows = try classifier.trainer().predict(classifier.model, loader).flatMap { batch in
            (0..<batch.shape[0]).map { batch[$0].scalars(as: Float.self) }
        }
        for (image, probabilities) in zip(images, rows) { try StandardOutput.line(line(image, probabilities)) }
    }

    private func line(_ image: InputImage, _ probabilities: [Float]) -> String {
        // The first of the largest, as argmax has it.
        let best = probabilities.max().flatMap { probabilities.firstIndex(of: $0) } ?? 0
        if json {
            let object: JSONValue = .object([
                "input": .string(image.path), "index": .integer(Int64(image.index)), "class": .integer(Int64(best)),
                "probabilities": .array(probabilities.map { .number(Double($0)) }),
            ])
            return object.text
        }
        let path = FilePath(image.path).description
        let name = image.isOneOfMany ? "\(path)[\(image.index)]" : path
        return "\(name): \(best)  " + probabilities.map { Double($0).formatted(decimals: 4) }.joined(separator: " ")
    }
}

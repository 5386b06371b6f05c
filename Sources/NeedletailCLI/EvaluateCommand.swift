// `needletail evaluate`.
import ArgumentParser
import Needletail

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Test a checkpoint on the test images of a data set.",
        discussion: "It runs in the precision in which it was trained, on pixels scaled as in training.")

    @Argument(help: "A checkpoint, or the folder given to train --checkpoint.")
    var checkpoint: String

    @OptionGroup var data: DataOptions

    @OptionGroup var threads: ThreadOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws { try checkPaths([("checkpoint", checkpoint)]) }

    func run() throws {
        threads.apply()
        let classifier = try TrainedClassifier(path: checkpoint)
        let expected = classifier.model.configuration.images
        let (training, loaded) = try data.source.load()
        var test = loaded
        let found = ImageFormat(test)
        guard found.height == expected.height, found.width == expected.width else {
            throw CommandError.data(
                "\(data.source.name): found \(found.height) x \(found.width) images, expected "
                    + "\(expected.height) x \(expected.width), as in training")
        }
        try test.checkLabels(classCount: expected.classes, of: "the model")
        warn(test.labelWarnings(trainedOn: training))
        (test.maximum, test.mean, test.deviation) = (expected.maximum, expected.mean, expected.deviation)
        let metrics = try classifier.trainer().test(
            classifier.model, DataLoader(test, batchSize: evaluationBatchSize))
        let accuracy = metrics["test_accuracy"] ?? .nan
        let loss = metrics["test_loss"] ?? .nan
        if json {
            let object: JSONValue = .object([
                "test_accuracy": .number(accuracy), "test_loss": .number(loss), "images": .integer(Int64(test.count)),
                "precision": .string(classifier.checkpoint.precision.rawValue),
            ])
            try StandardOutput.line(object.text)
        } else {
            try StandardOutput.line("images \(test.count)")
            try StandardOutput.line("test_accuracy \(accuracy.formatted(decimals: 4))")
            try StandardOutput.line("test_loss \(loss.formatted(decimals: 4))")
        }
    }
}

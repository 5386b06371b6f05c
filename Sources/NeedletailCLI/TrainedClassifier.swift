// A model built again from a checkpoint, with what is needed to run it.
import Foundation
import Needletail
import NeedletailFiles

struct TrainedClassifier {
    let checkpoint: Checkpoint
    let model: ImageClassifier

    /// Reads the checkpoint at `path`, or the newest one in the folder `path` that `train --checkpoint` was given.
    init(path: String) throws {
        checkpoint = try Checkpoint(Self.folder(path))
        let configuration: ClassifierConfiguration
        do { configuration = try JSONValue.object(checkpoint.hyperparameters).decoded() } catch {
            throw CommandError.data(
                "\(path): not a checkpoint of this command: its hyper-parameters describe no classifier")
        }
        try checkpoint.checkTypes()
        try Self.check(configuration, against: checkpoint.model, path)
        var generator = SeededGenerator(seed: 0)
        model = try ImageClassifier(configuration, using: &generator)
        // First the types: a float64 run's parameters would else be rounded to float32 on the way in.
        try checkpoint.policy.apply(to: model)
        try model.load(stateDictionary: checkpoint.model)
    }

    /// Hyper-parameters are what someone wrote: no model is built, and no memory taken, that its tensors do not fill.
    private static func check(
        _ configuration: ClassifierConfiguration, against tensors: [String: Tensor], _ path: String
    ) throws {
        if let problem = configuration.problem {
            throw CommandError.data("\(path): \(problem); use an older checkpoint")
        }
        for (name, expected) in configuration.parameterShapes {
            guard let found = tensors[name]?.shape, found == expected else {
                let found = tensors[name].map { "\($0.shape)" } ?? "nothing"
                throw CommandError.data(
                    "\(path): found \(found) as \(name), expected \(expected) from the hyper-parameters; "
                        + "use an older checkpoint")
            }
        }
    }

    /// The checkpoint at `path`, or `last` of the newest fit in the folder `path`; says which where there are several fits.
    static func folder(_ path: String) -> String {
        let (checkpoint, notice) = Checkpoint.resolve(path)
        if let notice { StandardError.line("note: \(notice)") }
        return checkpoint
    }

    /// A trainer that runs the model in the precision in which it was trained, and prints nothing.
    func trainer() -> Trainer {
        Trainer(precision: checkpoint.precision) {
            $0.precisionOverrides = checkpoint.precisionOverrides
            $0.enableProgressBar = false
            $0.enableModelSummary = false
        }
    }
}

// Weights from a checkpoint, or from a file that Python has written.
import Foundation
import NeedletailFiles
import NeedletailNN
import NeedletailTensor

/// A module that can be built from what it said about itself.
public protocol HyperparameterInitializable: TrainingModule {
    /// Builds the module from the hyper-parameters that a checkpoint kept.
    init(hyperparameters: [String: JSONValue]) throws
}

extension HyperparameterInitializable {
    /// Builds the module from a checkpoint's hyper-parameters and loads its weights: Lightning's `load_from_checkpoint`.
    ///
    /// Throws: ``CheckpointError``, `StateDictionaryError`, and what the initializer throws.
    public static func load(from path: String) throws -> Self {
        let checkpoint = try Checkpoint(path)
        let module: Self
        switch try operationOutcome({ try Self(hyperparameters: checkpoint.hyperparameters) }) {
        case .success(let made): module = made
        case .failure(let error):  // a layer does not take the sizes that stand in the file
            throw CheckpointError(path: path, problem: .mismatch("its hyper-parameters: \(error.message)"))
        }
        module.hyperparameters = checkpoint.hyperparameters
        try module.load(checkpoint, except: [], strict: true)
        return module
    }
}

extension TrainingModule {
    /// Loads weights from a checkpoint's folder, or from a safetensors file such as PyTorch's users write.
    ///
    ///     try classifier.load(from: "runs/last", except: ["head.*"])  // the backbone; the head is new
    ///
    /// Of a checkpoint the averaged weights are taken where there are any, and parameters get the types that they had there;
    /// a run gives them its own. Of a file, values are converted to the types that parameters have.
    /// - Parameters:
    ///   - patterns: parameters whose names match one of these keep their values, whatever the file has under these names.
    ///   - strict: whether missing and unexpected names are errors; otherwise they are returned.
    /// - Throws: ``CheckpointError``, `SafeTensorsError`, `StateDictionaryError`, `PatternError`, ``PrecisionError``; no value has then changed.
    @discardableResult
    public func load(
        from path: String, except patterns: [String] = [], strict: Bool = true
    ) throws -> (missing: [String], unexpected: [String]) {
        if let kind = FileSystem.kind(FilePath(path)), kind != .folder {
            return try load(safeTensors: path, except: patterns, strict: strict)
        }
        return try load(Checkpoint(path), except: patterns, strict: strict)
    }

    @discardableResult
    fileprivate func load(
        _ checkpoint: Checkpoint, except patterns: [String], strict: Bool
    ) throws -> (missing: [String], unexpected: [String]) {
        // Here the head may be another, and an override that was of the old one matches nothing: it has nothing to say.
        let names = namedParameters().map(\.name)
        let overrides = checkpoint.policy.overrides.filter { override in
            names.contains { matches($0, pattern: override.pattern) }
        }
        let before = ModuleState(self).snapshot(.parameters)
        do {
            try PrecisionPolicy(checkpoint.precision, overrides: PrecisionOverrides(overrides)).apply(to: self)
            // What has no average is the model's own.
            let tensors = checkpoint.model.merging(checkpoint.averagedModel ?? [:]) { $1 }
            return try load(tensors, unread: checkpoint.unreadTypes, except: patterns, strict: strict)
        } catch {
            before.restore()
            throw error
        }
    }
}

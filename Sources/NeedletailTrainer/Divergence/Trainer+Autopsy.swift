// An autopsy on demand.
public import NeedletailData
import NeedletailTensor

extension Trainer {
    /// Runs one training step on `batch` with checks on, without updating anything: where its first non-finite value
    /// arises; nil where all is finite.
    ///
    /// During fit, between steps (in `onTrainBatchEnd`, say), it is the next step as it would be, with the current loss
    /// scale. Outside of it the module gets the types of the trainer's precision, as for every run, and the loss scale is
    /// that of the last fit. Parameters, gradients, buffers, random states, metrics, counters and what the module saves in
    /// checkpoints stay as they are; other stored properties that it changes in its training step do not.
    /// Throws: ``TrainerError``, ``PrecisionError``, and what the module's `onSaveCheckpoint` throws.
    public func autopsy(
        _ module: TrainingModule, _ batch: Batch, index: Int = 0, optimizer: Int = 0
    ) throws -> Autopsy? {
        let step = try self.module === module ? self.step ?? makeStep(module) : makeStep(module)
        guard step.slots.indices.contains(optimizer) else {
            throw TrainerError.badOption(
                name: "autopsy: optimizer", found: "\(optimizer)", expected: "an index below \(step.slots.count)")
        }
        let slot = step.slots[optimizer]
        var batch = batch
        if batch.inputs.dtype.isFloatingPoint { batch.inputs = batch.inputs.cast(to: try chosenPolicy().compute) }
        slot.toggle()
        defer { slot.untoggle() }
        let autopsy = try step.replay([step.replayable(batch, index, share: 1)], of: slot, rethrowing: true)
        return autopsy.finding == nil && autopsy.parameter == nil ? nil : autopsy
    }

    private func makeStep(_ module: TrainingModule) throws -> TrainingStep {
        let policy = try chosenPolicy()
        try policy.apply(to: module)
        return try TrainingStep(
            module, optimizers: module.madeOptimizers(),
            scaler: lastScaler ?? configuration.makeScaler(for: policy), configuration: configuration, hooks: self)
    }
}

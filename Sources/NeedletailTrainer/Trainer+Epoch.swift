// One epoch: its batches, the validations between and after them, its end.
import NeedletailData
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

extension Trainer {
    /// The batches of one epoch from where the state stands, validation where it is due, and the epoch's end.
    ///
    /// An epoch that ends early (limit, ``shouldStop``) has no end: it can be resumed in its middle.
    func trainEpoch(
        _ module: TrainingModule, _ step: TrainingStep, _ train: DataLoader, _ validation: NamedLoaders?
    ) throws {
        isEpochComplete = false
        let begun = state
        module.metrics = trainingLog
        if state.batchInEpoch == 0 {
            trainingMetrics.beginEpoch()
            trainingMetrics.phase = .epochHook
            validationMeans = nil
            try each({ try $0.onTrainEpochStart(self, module) }, { try module.onTrainEpochStart() })
            try trainingMetrics.throwFailure()
            trainingMetrics.endBatch(counts: true)
            trainingMetrics.phase = .trainingStep
        } else if let validation {
            try validateWhereDue(module, validation)  // the checkpoint stands between a batch and its validation
        }
        try checkThatSomethingTrains(step)
        try checkLastBatch(module, step, train)
        step.accumulation = accumulation(inEpoch: state.epoch)
        if state.batchInEpoch < trainingBatchCount {
            let batches = train.batches(epoch: state.epoch, from: state.batchInEpoch, upTo: trainingBatchCount)
            while let batch = try batches.next() {
                try trainBatch(module, step, batch)
                if let validation { try validateWhereDue(module, validation) }
                if isAtStepBoundary { try obeySignals() }
                if isDone, isAtStepBoundary { break }
            }
        }
        guard state.batchInEpoch >= trainingBatchCount else { return }
        try checkThatSomethingCounted(since: begun)
        try endEpoch(module, step, hasValidation: validation != nil)
    }

    /// Throws ``TrainerError/nothingCounts(epoch:)`` where no batch of a whole epoch counted, and no number of epochs ends the run.
    private func checkThatSomethingCounted(since begun: TrainerState) throws {
        guard configuration.maxEpochs == nil, begun.batchInEpoch == 0, state.emptyWindows > begun.emptyWindows,
            state.globalStep == begun.globalStep, state.skippedSteps == begun.skippedSteps
        else { return }
        throw TrainerError.nothingCounts(epoch: state.epoch)
    }

    /// Where the module's training steps log.
    var trainingLog: MetricStore? { configuration.barebones ? nil : trainingMetrics }

    /// The hooks, metrics and schedules of an epoch's end; the next epoch is then the one that runs.
    private func endEpoch(_ module: TrainingModule, _ step: TrainingStep, hasValidation: Bool) throws {
        // Nobody hears of this epoch before the checkpoint of the one before it is on disk.
        try checkpointWriter.finish()
        trainingMetrics.phase = .epochHook
        trainingMetrics.beginBatch()
        for callback in early { try callback.onTrainEpochEnd(self, module) }
        try module.onTrainEpochEnd()
        try trainingMetrics.throwFailure()
        trainingMetrics.endBatch(counts: true)
        trainingMetrics.phase = .trainingStep
        try log(.epoch, trainingMetrics.epochMetrics)
        try moveSchedules(of: step, mayWait: hasValidation && validationMeans == nil)
        isEpochComplete = true  // a checkpoint from here on begins with the next epoch
        for callback in late { try callback.onTrainEpochEnd(self, module) }
        state = resumePosition
        isEpochComplete = false
        trainingMetrics.beginEpoch()
    }

    /// Ends an epoch for the schedules that go by epochs, and gives a monitored metric to those that need one.
    ///
    /// - Parameter mayWait: whether the metric may be one of a validation that has not run in this epoch.
    private func moveSchedules(of step: TrainingStep, mayWait: Bool) throws {
        let means = (validationMeans ?? [:]).merging(trainingMetrics.epochMetrics) { $1 }
        for case let scheduler? in step.slots.map(\.scheduler) {
            if let monitor = scheduler.monitor, means[monitor] == nil, !mayWait {
                throw TrainerError.monitorNotLogged(monitor, logged: means.keys.sorted())
            }
            try scheduler.countEpoch(metric: scheduler.monitor.flatMap { means[$0] })
        }
    }

    /// One batch: hooks, THE step, metrics.
    private func trainBatch(_ module: TrainingModule, _ step: TrainingStep, _ batch: Batch) throws {
        let index = state.batchInEpoch
        if isAtStepBoundary { windowStart = try WindowStart(self, step) }
        let batch = try transferred(batch, index, module, .fit)
        let weight = module.lossWeight(of: batch)
        trainingMetrics.beginBatch(samples: batch.count, counts: weight > 0)
        try each(
            { try $0.onTrainBatchStart(self, module, batch, index) }, { try module.onTrainBatchStart(batch, index) })
        let closesWindow = (index + 1) % step.accumulation == 0 || index + 1 == trainingBatchCount
        isAtStepBoundary = false
        let result: StepResult
        do { result = try observed { try step.run(batch, index, closesWindow: closesWindow) } } catch {
            if !step.hasUpdated { windowStart?.restoreBuffers() }
            throw error
        }
        if closesWindow, !result.isApplied { windowStart?.restoreBuffers() }
        tellOfEmptyMeans(result, index)
        isAtStepBoundary = closesWindow
        state.batchInEpoch = index + 1
        endBatch(result, closesWindow)  // now: a callback may save a checkpoint
        for callback in early { try callback.onTrainBatchEnd(self, module, result, batch, index) }
        try module.onTrainBatchEnd(result, batch, index)
        try trainingMetrics.throwFailure()
        endBatch(result, closesWindow)  // what these hooks have logged
        if closesWindow, (state.globalStep + state.skippedSteps) % configuration.logEveryNSteps == 0 {
            try logStep(result)
        }
        for callback in late { try callback.onTrainBatchEnd(self, module, result, batch, index) }
    }

    /// Says, once a fit, that a batch was left out though it has a weight.
    private func tellOfEmptyMeans(_ result: StepResult, _ index: Int) {
        guard result.hasEmptyMean, !hasToldOfEmptyMeans else { return }
        hasToldOfEmptyMeans = true
        notice(
            "batch \(index) of epoch \(state.epoch) is left out, as are others of its kind: no target counts in its loss, all "
                + "are ignored or of class weight 0; where other terms of the loss do count, emptyMean: .zero lets them"
        )
    }

    /// What the batch has logged enters the epoch's sums when its accumulation window has been applied.
    private func endBatch(_ result: StepResult, _ closesWindow: Bool) {
        trainingMetrics.holdBatch(hooksCount: result.loss.isFinite)
        if closesWindow { trainingMetrics.endWindow(result) }
    }

    /// The batch as data module and module want it.
    func transferred(_ batch: Batch, _ index: Int, _ module: TrainingModule, _ stage: Stage) throws -> Batch {
        let batch = try data?.onAfterBatchTransfer(batch, index, stage) ?? batch
        return try module.onAfterBatchTransfer(batch, index, stage)
    }

    /// Writes what was logged by step, with the learning rates, the loss scale where there is one, and the share of updates
    /// that rounding lost where parameters are stored in 16 bits.
    ///
    /// The rates are those of this step: `lr`, or `lr-0`, `lr-1`, … where there are several groups or optimizers.
    private func logStep(_ result: StepResult) throws {
        var values = trainingMetrics.stepMetrics
        let rates = result.learningRates
        for (index, rate) in rates.enumerated() {
            let name = rates.count == 1 ? "lr" : "lr-\(index)"
            if !values.contains(where: { $0.name == name }) { values.append((name, rate)) }  // the module's own wins
        }
        if let lossScale {
            values.append(("amp/scale", Double(lossScale)))
            values.append(("amp/skipped_total", Double(state.skippedSteps)))
        }
        if let lost = result.lostUpdates { values.append((Trainer.lostUpdatesMetric, lost.share)) }
        try log(.step, values)
    }
}

// Saving a run and going on from it.
import NeedletailData
import NeedletailNN
import NeedletailOptim
import NeedletailTensor

extension Trainer {
    /// Saves the running fit as the folder `path`, in place of what is there, so that a crash at any byte leaves the old
    /// checkpoint or the new one.
    ///
    /// Throws: ``TrainerError/noStepBoundary`` in the middle of an accumulation window or outside of fit;
    /// ``CheckpointError`` where it cannot be written, the old one then being unharmed.
    public func saveCheckpoint(to path: String) throws {
        try checkpointWriter.finish()
        try snapshot { try write($0, to: path) }
    }

    /// The same while training goes on: what cannot be written is thrown when the next one is, or at the end of fit.
    func beginCheckpoint(in folder: RunFolder, as name: String) throws {
        try snapshot { try checkpointWriter.write($0, in: folder, as: name) }
    }

    /// Gives `body` the run as it stands. The tensors are the run's own: they change with its next step.
    private func snapshot(_ body: (CheckpointSnapshot) throws -> Void) throws {
        guard stage == .fit, let module, let step, isAtStepBoundary else { throw TrainerError.noStepBoundary }
        try withTrainedWeights(module) {
            try body(try snapshot(module, step, own: OwnState(module, data)))
        }
    }

    /// Runs `body` with the parameters and buffers that train, also where a callback evaluates with others.
    private func withTrainedWeights<R>(_ module: TrainingModule, _ body: () throws -> R) throws -> R {
        defer { for callback in callbacks { callback.checkpointWasSaved() } }
        for callback in callbacks { try callback.checkpointWillBeSaved(self, module) }
        return try body()
    }

    /// The run as it stands, with what module and data module save of themselves.
    private func snapshot(
        _ module: TrainingModule, _ step: TrainingStep, own: OwnState
    ) throws -> CheckpointSnapshot {
        let clockMetrics = callbacks.reduce(into: Set<String>()) { $0.formUnion($1.clockMetrics) }
        var content = CheckpointState(
            policy: try chosenPolicy(), kernelRow: KernelInfo.activeRow, bfloat16MatMul: bfloat16MatMul.rawValue,
            matmulAccumulation: matMulAccumulation, trainer: resumePosition, scaler: step.scaler,
            loader: loader.map(CheckpointState.LoaderRecord.init),
            optimizers: try step.slots.map { try $0.savedOptions() },
            schedules: step.slots.compactMap(\.savedSchedule), random: module.randomStates(),
            hyperparameters: module.hyperparameters, module: own.module, callbacks: [:],
            metrics: metrics.filter { !clockMetrics.contains($0.key) },
            epochSums: isEpochComplete || state.batchInEpoch == 0
                ? [] : trainingMetrics.sums.filter { !clockMetrics.contains($0.name) })
        content.validation = isEpochComplete ? nil : validationMeans
        if let data, let saved = own.data { content.callbacks[data.stateKey] = saved }
        var kept: [(name: String, tensor: Tensor)] = []
        var clocks: [String: JSONValue] = [:]
        for (key, callback) in keyedCallbacks {
            clocks[key] = try callback.saveClock()
            if let saved = try callback.saveState() { content.callbacks[key] = saved }
            kept += try callback.stateTensors().map { ("\(key)/\($0.name)", $0.tensor) }
        }
        let moments = step.slots.flatMap { slot in
            slot.optimizer.stateTensors().map { (name: "\(slot.index)/\($0.name)", tensor: $0.tensor) }
        }
        let model = module.stateDictionary().map { (name: $0.0, tensor: $0.1) }
        return CheckpointSnapshot(content: content, model: model, optimizer: moments, callbacks: kept, clocks: clocks)
    }

    /// Saves the moment after the last complete step, also from within a step or an accumulation window.
    ///
    /// Throws: as ``saveCheckpoint(to:)``; ``TrainerError/noStepBoundary`` where an optimizer has updated parameters since.
    func saveLastCompleteStep(to path: String) throws {
        if isAtStepBoundary { return try saveCheckpoint(to: path) }
        guard stage == .fit, let module, let step, let windowStart, !step.hasUpdated else {
            throw TrainerError.noStepBoundary
        }
        try checkpointWriter.finish()
        try withTrainedWeights(module) {
            try windowStart.around(self, step) {
                let own = try windowStart.own ?? OwnState(module, data)
                try write(try snapshot(module, step, own: own), to: path)
            }
        }
    }

    /// The counters with which a resumed run begins: after a complete epoch those of the next one.
    var resumePosition: TrainerState {
        var position = state
        if isEpochComplete {
            position.epoch += 1
            position.batchInEpoch = 0
            position.validatedBatch = nil
        }
        return position
    }

    /// Puts the run where the checkpoint was written.
    func restore(_ module: TrainingModule, from checkpoint: Checkpoint) throws {
        let content = checkpoint.content
        func mismatch(_ why: String) -> CheckpointError {
            CheckpointError(path: checkpoint.path, problem: .mismatch(why))
        }
        guard let step, let loader else { return }
        try checkpoint.checkTypes(all: true)
        let position = content.trainer
        guard position.batchInEpoch <= trainingBatchCount else {
            throw mismatch(
                "it stands after batch \(position.batchInEpoch) of an epoch, which has \(trainingBatchCount) now; give the data and "
                    + "the limits on batches that it had")
        }
        if position.batchInEpoch > 0 {
            let current = CheckpointState.LoaderRecord(loader)
            guard content.loader == current else {
                let found = content.loader.map(\.description) ?? "no loader"
                throw mismatch("it was saved within an epoch of a loader with \(found), this one has \(current)")
            }
        }
        guard content.optimizers.count == step.slots.count, position.consecutiveSkips.count == step.slots.count else {
            throw mismatch("it has \(content.optimizers.count) optimizers, the module \(step.slots.count)")
        }
        let schedules = step.slots.compactMap(\.savedSchedule), saved = content.schedules ?? []
        guard saved.map(\.identity) == schedules.map(\.identity) else {
            func list(_ records: [CheckpointState.ScheduleRecord]) -> String {
                records.isEmpty ? "none" : records.map(\.identity).joined(separator: ", ")
            }
            throw mismatch("found the schedules \(list(saved)), the module has \(list(schedules))")
        }
        let prefixes = step.slots.map { "\($0.index)/" }
        let foreign = checkpoint.optimizer.keys.filter { key in !prefixes.contains { key.hasPrefix($0) } }
        guard foreign.isEmpty else {
            throw mismatch("the state of no optimizer, unexpected: \(foreign.sorted().joined(separator: ", "))")
        }
        do {
            try module.load(stateDictionary: checkpoint.model)
            try module.setRandomStates(content.random)
            for slot in step.slots {
                let prefix = "\(slot.index)/"
                let own = checkpoint.optimizer.filter { $0.key.hasPrefix(prefix) }
                restoreRounding(of: slot, content, checkpoint.path)  // first: it decides what state there is
                try slot.optimizer.load(
                    stateTensors: Dictionary(
                        uniqueKeysWithValues: own.map { (String($0.key.dropFirst(prefix.count)), $0.value) }))
                if try slot.restoreOptions(content.optimizers[slot.index]) {
                    notice(
                        "optimizer \(slot.index) goes on with the options of checkpoint \(checkpoint.path), not with those given"
                    )
                }
                try restoreSchedule(of: slot, content, checkpoint.path)
            }
            let policy = try chosenPolicy()
            if PrecisionOverrides(policy.overrides) != checkpoint.precisionOverrides {
                notice(
                    "checkpoint \(checkpoint.path) was trained with the precision overrides "
                        + "\(checkpoint.precisionOverrides), this run has \(PrecisionOverrides(policy.overrides)): "
                        + "tensors are converted")
            }
            restoreScaler(content, checkpoint.path, here: policy.precision)
        } catch let error as CheckpointError { throw error } catch { throw mismatch(JSONValue.reason(error)) }
        state = position
        metrics = content.metrics
        validationMeans = content.validation
        trainingMetrics.restore(content.epochSums)
        module.hyperparameters.merge(content.hyperparameters) { given, _ in given }
        try module.onLoadCheckpoint(content.module)
        func load(_ key: String, _ take: (JSONValue) throws -> Void) throws {
            guard let saved = content.callbacks[key] else { return }
            do { try take(saved) } catch let error as DecodingError {
                throw mismatch("the state of \(key): \(JSONValue.reason(error))")
            }
        }
        if let data { try load(data.stateKey, data.loadState) }
        let keyed = keyedCallbacks, clocks = RunRecord.clocks(of: checkpoint)
        for (key, callback) in keyed {
            try load(key, callback.loadState)
            let isClockKnown = clocks[key].map { (try? callback.loadClock($0)) != nil } ?? false
            if callback is TrainingTimer, !isClockKnown, content.callbacks[key] == nil {
                notice(
                    "how long training took before checkpoint \(checkpoint.path) is not known, no run.json beside it tells: "
                        + "the timer counts from zero")
            }
            do { try callback.load(stateTensors: checkpoint.tensors(of: key, among: keyed.map(\.key)), module) } catch {
                throw mismatch("the state of \(key): \(error)")
            }
        }
        if content.kernelRow != KernelInfo.activeRow {
            notice(
                "checkpoint \(checkpoint.path) was computed by the \(content.kernelRow) kernels, this run uses "
                    + "\(KernelInfo.activeRow): it goes on, but not with the bits of the uninterrupted run")
        }
        restoreBFloat16MatMul(checkpoint)
        restoreMatMulAccumulation(checkpoint)
    }

    /// Goes on with the kernel that multiplied bfloat16 matrices so far, whatever would be measured now; the run's end puts the choice back.
    private func restoreBFloat16MatMul(_ checkpoint: Checkpoint) {
        let saved = checkpoint.bfloat16MatMul
        if !KernelInfo.environmentChoosesBFloat16MatMul, let saved { chooseBFloat16MatMul(saved) }
        if bfloat16MatMul == saved { return }
        let why =
            KernelInfo.environmentChoosesBFloat16MatMul
            ? "CSIMD_BF16_GEMM asks for \(bfloat16MatMul)" : "this CPU, or the row of kernels in use, has none"
        notice(
            "checkpoint \(checkpoint.path) was computed with \(saved?.rawValue ?? "unknown") bf16 products, but \(why): it goes on "
                + "with \(bfloat16MatMul), not with the bits of the uninterrupted run")
    }

    /// Goes on with sums of float16 products as they were, unless this run asks for others; the run's end puts the choice back.
    private func restoreMatMulAccumulation(_ checkpoint: Checkpoint) {
        let saved = checkpoint.matmulAccumulation
        guard saved != matMulAccumulation else { return }
        var why = "this run asks for \(matMulAccumulation)"
        if configuration.matmulAccumulation == nil {
            why = "this version does not know them"
            if let saved { do { return try chooseMatMulAccumulation(saved) } catch { why = "\(error)" } }
        }
        notice(
            "checkpoint \(checkpoint.path) was computed with \(saved?.description ?? "unknown") sums of float16 products, but "
                + "\(why): it goes on with \(matMulAccumulation), not with the bits of the uninterrupted run")
    }

    /// The checkpoint's rounding of updates goes on, where updates were rounded to 16 bits and still are.
    private func restoreRounding(of slot: OptimizerSlot, _ content: CheckpointState, _ path: String) {
        let given = slot.optimizer.updateRounding
        guard let saved = content.optimizers[slot.index].updateRounding, slot.storesSixteenBit, saved != given else {
            return
        }
        slot.optimizer.updateRounding = saved
        notice(
            "optimizer \(slot.index) goes on with the update rounding of checkpoint \(path), \(saved), not with the one "
                + "given, \(given)")
    }

    private func restoreSchedule(of slot: OptimizerSlot, _ content: CheckpointState, _ path: String) throws {
        guard let given = slot.savedSchedule,
            let saved = content.schedules?.first(where: { $0.optimizer == slot.index })
        else { return }
        try slot.scheduler?.restore(saved.state)
        if saved.options != given.options {
            notice(
                "optimizer \(slot.index) goes on with the schedule given, \(given.options), not with that of checkpoint "
                    + "\(path), \(saved.options)")
        }
    }

    private func restoreScaler(_ content: CheckpointState, _ path: String, here: Precision) {
        if content.precision != here {
            let scale =
                switch (content.scaler, step?.scaler) {
                case (.some, nil): "; its loss scale is dropped"
                case (nil, .some(let scaler)): "; the loss scale starts at \(scaler.scale)"
                default: ""
                }
            notice(
                "checkpoint \(path) is of a \(content.precision) run, this run is \(here): tensors are converted\(scale)"
            )
        }
        guard let saved = content.scaler, let given = step?.scaler else { return }
        if saved.rule != given.rule {
            notice("the loss scale goes on with the rule of checkpoint \(path), \(saved.rule), not with the one given")
        }
        step?.scaler = saved
    }

    /// The directory of the first ``ModelCheckpoint``, or that of the root directory; nil where there is neither.
    var checkpointDirectory: String? {
        callbacks.lazy.compactMap { ($0 as? ModelCheckpoint)?.directory }.first
            ?? configuration.rootDirectory.map { $0 + "/checkpoints" }
    }

    /// Where a resume point's checkpoint is.
    func path(of point: ResumePoint) throws -> String {
        if case .path(let path) = point { return path }
        guard let directory = checkpointDirectory ?? givenCheckpointDirectory else {
            throw CheckpointError(path: "", problem: .noDirectory)
        }
        let name = point == .last ? "/last" : "/best"
        if let place = callbacks.lazy.compactMap({ $0 as? ModelCheckpoint }).first?.place { return place.path + name }
        let (folder, note) = Checkpoint.newestFit(in: directory)
        if let note { notice("\(note)") }
        return folder + name
    }
}

extension OptimizerSlot {
    /// The optimizer's kind, each group's own options (learning rates as they would be without a schedule), and the rounding
    /// of its updates where parameters are stored in 16 bits.
    func savedOptions() throws -> CheckpointState.OptimizerRecord {
        try withOwnOptions {
            .init(
                kind: String(describing: type(of: optimizer)),
                groups: try optimizer.groups.map { try JSONValue(encoding: $0.options) },
                updateRounding: storesSixteenBit ? optimizer.updateRounding : nil)
        }
    }

    /// What the schedule is, and where it is; nil where there is none.
    var savedSchedule: CheckpointState.ScheduleRecord? {
        scheduler.map {
            .init(
                optimizer: index, kind: $0.schedule.kind,
                options: String(describing: $0.schedule), interval: $0.interval, state: $0.state)
        }
    }

    private func withOwnOptions<R>(_ body: () throws -> R) rethrows -> R {
        guard let scheduler else { return try body() }
        return try scheduler.withOwnOptions(body)
    }

    /// Takes back what ``savedOptions()`` gave; returns whether anything was different before.
    func restoreOptions(_ saved: CheckpointState.OptimizerRecord) throws -> Bool {
        let current = try savedOptions()
        guard saved.kind != current.kind || saved.groups != current.groups else { return false }
        guard saved.kind == current.kind, saved.groups.count == current.groups.count else {
            throw OptimizerMismatch(
                found: "\(saved.kind) with \(saved.groups.count) groups",
                expected: "\(current.kind) with \(current.groups.count)")
        }
        var options: [any OptimizerOptions] = []
        for (group, saved) in zip(optimizer.groups, saved.groups) {
            options.append(try OptimizerSlot.decode(saved, like: group.options))
        }
        withOwnOptions { for (group, options) in zip(optimizer.groups, options) { group.options = options } }
        return true
    }

    /// Options of the type of `example` with saved values, which are checked.
    private static func decode<T: OptimizerOptions>(_ saved: JSONValue, like example: T) throws -> any OptimizerOptions
    {
        let options = try saved.decoded(as: T.self)
        try options.validate()
        return options
    }
}

extension CheckpointState.ScheduleRecord {
    /// What must be equal for the state to mean the same.
    var identity: String { "\(kind) by \(interval) of optimizer \(optimizer)" }
}

/// The checkpoint's optimizer is another one than the module's.
struct OptimizerMismatch: Error, CustomStringConvertible {
    let found: String, expected: String
    var description: String { "found the state of \(found), expected that of \(expected)" }
}

extension CheckpointState.LoaderRecord: CustomStringConvertible {
    init(_ loader: DataLoader) {
        self.init(
            batchSize: loader.batchSize, batchCount: loader.batchCount, sampleCount: loader.dataset.count,
            dropLast: loader.dropLast, seed: loader.sampler.seed)
    }

    var description: String {
        "\(batchCount) batches of \(batchSize) from \(sampleCount) samples, drop last \(dropLast), "
            + (seed.map { "shuffled with seed \($0)" } ?? "not shuffled")
    }
}

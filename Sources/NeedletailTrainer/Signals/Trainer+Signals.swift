// What a run does where signals ask for it.

extension Trainer {
    /// Runs `body` obeying signals where that was asked for.
    func obeyingSignals<R>(_ body: () throws -> R) throws -> R {
        guard configuration.handlesSignals else { return try body() }
        return try ProcessSignals.obeying {
            let result = try body()
            try endWhereAsked()
            return result
        }
    }

    /// Between two steps: saves where SIGUSR1 has asked for it, and ends where SIGINT or SIGTERM has.
    func obeySignals() throws {
        guard configuration.handlesSignals else { return }
        if ProcessSignals.takeSaveRequest() {
            let path = try saveLastCheckpoint()
            notice(
                path.map { "saved \($0), as SIGUSR1 asked" } ?? "SIGUSR1: there is no directory to save a checkpoint in"
            )
        }
        try endWhereAsked()
    }

    /// Anywhere between two batches: saves and throws ``RunInterrupted`` where SIGINT or SIGTERM has come.
    func endWhereAsked() throws {
        guard configuration.handlesSignals, let signal = ProcessSignals.stopSignal else { return }
        let checkpoint = stage == .fit ? try saveLastCheckpoint() : nil
        throw RunInterrupted(signal: signal, checkpoint: checkpoint, globalStep: state.globalStep)
    }

    /// Saves `last` where the run has a directory for checkpoints and has made a step; nil where it has not.
    ///
    /// Within an accumulation window (a validation can stand there) what is saved is the moment before the window.
    func saveLastCheckpoint() throws -> String? {
        let checkpoints = callbacks.lazy.compactMap { $0 as? ModelCheckpoint }.first
        guard step != nil, let checkpoints else { return nil }
        let path = checkpoints.folder + "/last"
        try checkpointWriter.finish()
        if state == checkpoints.lastSaved { return path }
        guard hasTrained else { return nil }
        try saveLastCompleteStep(to: path)
        lastPath = path
        return path
    }
}

extension ProcessSignals {
    /// For searches, which have nothing to save: ends them where SIGINT or SIGTERM has come.
    static func throwWhereAsked(_ trainer: Trainer) throws {
        guard trainer.configuration.handlesSignals, let signal = stopSignal else { return }
        throw RunInterrupted(signal: signal, checkpoint: nil, globalStep: trainer.state.globalStep)
    }
}

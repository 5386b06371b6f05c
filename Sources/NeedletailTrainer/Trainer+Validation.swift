// The validations of a fit: the one before training, and those between and after the batches of an epoch.
import NeedletailData
import NeedletailNN

extension Trainer {
    /// A few batches of each loader before training, so that errors are found early; what they log is forgotten.
    func sanityCheck(_ module: TrainingModule, _ validation: NamedLoaders) throws {
        let count = configuration.numSanityValSteps
        guard count != 0 else { return }
        isSanityChecking = true
        defer {
            isSanityChecking = false
            evaluationMetrics.restore([])
        }
        try each({ try $0.onSanityCheckStart(self, module) }, { try module.onSanityCheckStart() })
        do {
            let before = ModuleState(module).snapshot([.buffers, .generators])
            defer { before.restore() }
            try evaluate(.validate, module, validation, limit: count < 0 ? .all : .count(count))
        }
        try each({ try $0.onSanityCheckEnd(self, module) }, { try module.onSanityCheckEnd() })
    }

    /// Validates where the batches done so far ask for it and it has not been done after them yet.
    func validateWhereDue(_ module: TrainingModule, _ validation: NamedLoaders) throws {
        guard isValidationDue, state.validatedBatch != state.batchInEpoch else { return }
        try evaluate(.validate, module, validation, limit: configuration.limitValBatches)
        module.metrics = trainingLog
    }

    /// Whether a validation belongs after the batches that are done.
    private var isValidationDue: Bool {
        let done = state.batchInEpoch
        switch configuration.valCheckInterval {
        case .fraction(let fraction):
            let interval = max(1, Int(Double(trainingBatchCount) * fraction))
            return isValidationEpoch && done % interval == 0
        case .count(let interval):
            guard configuration.checkValEveryNEpochs != nil else {
                return (state.epoch * trainingBatchCount + done) % interval == 0
            }
            return isValidationEpoch && done % interval == 0
        }
    }

    /// Whether the running epoch has validations.
    private var isValidationEpoch: Bool { (state.epoch + 1) % (configuration.checkValEveryNEpochs ?? 1) == 0 }
}

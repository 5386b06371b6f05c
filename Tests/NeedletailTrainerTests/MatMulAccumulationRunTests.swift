import Needletail
import NeedletailTensor
import Testing

/// The trainer's option for float16 sums: for the run, and no longer.
@Suite struct MatMulAccumulationRunTests {
    private func fit(_ accumulation: MatMulAccumulation?) throws -> MatMulAccumulation? {
        let seen = AccumulationSeen()
        let trainer = quietTrainer(maxEpochs: 1, precision: .mixedFloat16) {
            $0.matmulAccumulation = accumulation
            $0.callbacks = [seen]
        }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(40), batchSize: 20))
        return seen.last
    }

    @Test func holdsForTheRunOrThrows() throws {
        #expect(try fit(nil) == .float32)
        for row in KernelInfo.rows where row.supported {
            #expect(KernelInfo.setThreadRow(row.name))
            defer { #expect(KernelInfo.setThreadRow(nil)) }
            if row.name == "ref" {
                #expect(try fit(.chunked(32)) == .chunked(32))
                try setMatMulAccumulation(.chunked(32))
                #expect(try fit(nil) == .chunked(32))
                #expect(try fit(.float32) == .float32)
                #expect(matMulAccumulation == .chunked(32))
                try setMatMulAccumulation(.float32)
            } else if row.name == "avx2" {
                #expect(throws: MatMulAccumulationError.self) { try fit(.chunked(32)) }
            }
            #expect(throws: MatMulAccumulationError.self) { try fit(.chunked(64)) }
            #expect(matMulAccumulation == .float32)
        }
    }
}

private final class AccumulationSeen: Callback {
    var last: MatMulAccumulation?
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws {
        last = matMulAccumulation
    }
}

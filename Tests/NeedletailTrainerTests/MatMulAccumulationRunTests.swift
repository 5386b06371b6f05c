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
                try withMatMulAccumulation(.chunked(32)) { () throws in
                    #expect(try fit(nil) == .chunked(32))
                    #expect(try fit(.float32) == .float32)
                    #expect(matMulAccumulation == .chunked(32))
                }
            } else if row.name == "avx2" {
                #expect(throws: MatMulAccumulationError.self) { try fit(.chunked(32)) }
            }
            #expect(throws: MatMulAccumulationError.self) { try fit(.chunked(64)) }
            #expect(matMulAccumulation == .float32)
        }
    }

    /// A run that goes on sums as it did, unless it is asked for something else, and then says so.
    @Test func isKeptByCheckpoints() throws {
        let directory = try TemporaryDirectory()
        func fit(
            _ epochs: Int, _ given: MatMulAccumulation?, resume: ResumePoint? = nil, row: String = "ref"
        ) throws -> (seen: MatMulAccumulation?, notices: [String]) {
            #expect(KernelInfo.setThreadRow(row))
            defer { #expect(KernelInfo.setThreadRow(nil)) }
            let seen = AccumulationSeen()
            let trainer = quietTrainer(maxEpochs: epochs, precision: .mixedFloat16) {
                $0.matmulAccumulation = given
                $0.callbacks = [seen]
                $0.rootDirectory = directory.path
            }
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(40), batchSize: 20), resume: resume)
            #expect(matMulAccumulation == .float32)
            return (seen.last, trainer.notices)
        }
        _ = try fit(1, .chunked(32))
        #expect(try Checkpoint(directory("checkpoints/last")).matmulAccumulation == .chunked(32))
        var (seen, notices) = try fit(2, nil, resume: .last)
        #expect(seen == .chunked(32) && notices.isEmpty)
        (seen, notices) = try fit(3, .chunked(32), resume: .last)
        #expect(seen == .chunked(32) && notices.isEmpty)
        if KernelInfo.rows.contains(where: { $0.name == "avx2" && $0.supported }) {
            (seen, notices) = try fit(4, nil, resume: .last, row: "avx2")  // which has no such sums
            #expect(seen == .float32)
            #expect(notices.contains { $0.contains("chunked:32 sums") && $0.contains("goes on with float32") })
            _ = try fit(5, .chunked(32), resume: .last)
        }
        (seen, notices) = try fit(6, .float32, resume: .last)
        #expect(seen == .float32)
        #expect(notices.contains { $0.contains("chunked:32 sums") && $0.contains("this run asks for float32") })
        // What has float32 sums says nothing of them, as all checkpoints before there was a choice.
        #expect(!text(directory("checkpoints/last/state.json")).contains("matmulAccumulation"))
        (seen, notices) = try fit(7, .chunked(32), resume: .last)
        #expect(seen == .chunked(32) && notices.contains { $0.contains("float32 sums") })
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

// Two callbacks of one kind: each keeps a state of its own in checkpoints.
import Foundation
import Needletail
import Testing

/// A user's callback that counts in steps of its own, and keeps a tensor.
private class Counter: Callback {
    let step: Int64
    var count: Int64 = 0
    init(_ step: Int64) { self.step = step }
    override func reset() { count = 0 }
    override func saveState() throws -> JSONValue? { .integer(count) }
    override func loadState(_ state: JSONValue) throws { count = try state.decoded() }
    override func stateTensors() throws -> [(name: String, tensor: Tensor)] { [("count", Tensor([count]))] }
    override func load(stateTensors: [String: Tensor], _ module: TrainingModule) throws {
        #expect(stateTensors["count"]?.scalars(as: Int64.self) ?? [0] == [count])
    }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) { count += step }
}

/// One whose key begins as names of another's tensors.
private final class Nested: Counter {
    override var stateKey: String { "Counter/count" }
}

/// Saves a checkpoint after all others have done what they do.
private final class SaveAtStep: Callback {
    let step: Int, path: String
    init(_ step: Int, _ path: String) { (self.step, self.path) = (step, path) }
    override var runsLast: Bool { true }
    override func onTrainBatchEnd(
        _ trainer: Trainer, _ module: TrainingModule, _ result: StepResult, _ batch: Batch, _ index: Int
    ) throws { if trainer.state.globalStep == step { try trainer.saveCheckpoint(to: path) } }
}

@Suite struct CallbackKeyTests {
    /// Two callbacks that come to different states.
    struct Pair: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let keys: [String]
        let make: @Sendable (Surroundings) -> [Callback]
    }

    static let pairs = [
        Pair(testDescription: "a user's", keys: ["Counter", "Counter#2", "Counter#3"]) { _ in
            [Counter(1), Counter(2), Counter(3)]
        },
        Pair(testDescription: "a key within a key", keys: ["Counter", "Counter/count"]) { _ in
            [Counter(1), Nested(2)]
        },
        Pair(testDescription: "EarlyStopping", keys: ["EarlyStopping(val_loss)", "EarlyStopping(val_loss)#2"]) { _ in
            [
                EarlyStopping(monitor: "val_loss", patience: 99),
                EarlyStopping(monitor: "val_loss", minDelta: 9, patience: 99),
            ]
        },
        Pair(testDescription: "WeightAveraging", keys: ["WeightAveraging", "WeightAveraging#2"]) { _ in
            [WeightAveraging(.exponential(decay: 0.5)), WeightAveraging(.exponential(decay: 0.9), from: 1)]
        },
        Pair(testDescription: "RunReport", keys: ["RunReport", "RunReport#2"]) {
            [
                RunReport(to: $0.folder + "/a.html", clock: $0.clock),
                RunReport(to: $0.folder + "/b.html", clock: $0.clock),
            ]
        },
    ]

    private func fit(_ callbacks: [Callback], steps: Int, to path: String, resume: String? = nil) throws -> [[UInt8]] {
        let trainer = quietTrainer(maxSteps: steps) {
            $0.callbacks =
                callbacks + [
                    SaveAtStep(steps, path)
                ]
        }
        let module = SmallClassifier()
        try trainer.fit(
            module, train: DataLoader(Points(22), batchSize: 4, shuffle: true),
            validation: DataLoader(Points(7, seed: 9), batchSize: 4), resume: resume.map { .path($0) })
        return module.bits
    }

    /// Each has its key; a resumed run goes on with the state of each, and ends as the uninterrupted one.
    @Test(arguments: pairs) func eachKeepsItsOwnState(_ pair: Pair) throws {
        let directory = try TemporaryDirectory()
        func callbacks(_ name: String) throws -> [Callback] {
            try FileManager.default.createDirectory(atPath: directory(name), withIntermediateDirectories: true)
            return pair.make(Surroundings(directory(name)))
        }
        let whole = try callbacks("whole"), resumed = try callbacks("resumed")
        let expected = try fit(whole, steps: 14, to: directory("a"))
        _ = try fit(try callbacks("part"), steps: 8, to: directory("b"))
        #expect(try fit(resumed, steps: 14, to: directory("c"), resume: directory("b")) == expected)
        for name in ["model.safetensors", "state.json", "callbacks.safetensors"] {
            #expect(bytes(directory("c/" + name)) == bytes(directory("a/" + name)), "\(name)")
        }
        let states = try whole.map { try $0.saveState()?.text }
        #expect(try resumed.map { try $0.saveState()?.text } == states)
        if pair.testDescription != "RunReport" { #expect(Set(states).count == states.count, "they differ") }
        let state = text(directory("a/state.json"))
        for key in pair.keys { #expect(state.contains("\"\(key)\" : "), "\(key)") }
        #expect(!state.contains("#\(pair.keys.count + 1)"))
    }

    /// With two averages the model is evaluated with the first, and trains its own weights.
    @Test func twoAveragesDoNotTrainEachOther() throws {
        let directory = try TemporaryDirectory()
        let first = WeightAveraging(.exponential(decay: 0.5))
        let end = try fit([first], steps: 14, to: directory("a"))
        let bits = try fit(
            [WeightAveraging(.exponential(decay: 0.5)), WeightAveraging(.exponential(decay: 0.9))], steps: 14,
            to: directory("b"))
        #expect(bits == end)
        #expect(bytes(directory("b/model.safetensors")) == bytes(directory("a/model.safetensors")))
    }
}

// Wrong inputs are errors that are thrown: by `check` for every layer, and by the trainer for the first batch.
import Foundation
import Needletail
import Testing

@Suite struct CheckTests {
    /// Inputs unlike those that the layer takes: other sizes of each axis, other ranks, nothing, other types.
    private static func unfit(_ layerCase: LayerCase) -> [Tensor] {
        let shape = [2] + layerCase.input
        let type: DType = layerCase.isInteger ? .int64 : .float32
        var shapes: [[Int]] = [
            [], [0], [1], [5], Array(shape.dropLast()), shape + [1], shape + [3], [2, 2, 2, 2, 2, 2],
        ]
        for axis in shape.indices {
            for size in [0, 1, shape[axis] + 1, 2 * shape[axis] + 3] {
                shapes.append(shape)
                shapes[shapes.count - 1][axis] = size
            }
        }
        let others: [DType] = [.int32, .uint8, .bool, .int64, .float32, .float64]
        var inputs = shapes.map { Tensor.zeros($0, dtype: type) }
        for other in others { inputs.append(Tensor.zeros(shape, dtype: other)) }
        let values: [Double] = layerCase.isInteger ? [-1, 7, 0x1p40] : []
        for value in values { inputs.append(Tensor.full(shape, value, dtype: .int64)) }
        return inputs
    }

    /// No input ends the program, in training and in evaluation; nothing that it changes stays, and the layer then gives the
    /// bits of one that was never asked.
    @Test(arguments: LayerCase.all) func noInputEndsTheProgram(_ layerCase: LayerCase) throws {
        let model = LayerModel(layerCase), fresh = LayerModel(layerCase)
        let fitting = try Samples(layerCase, 4).batch([0, 1, 2, 3], dtype: .float32).inputs
        var refused = 0
        for isTraining in [true, false] {
            for module in [model, fresh] { module.train(isTraining) }
            let before = ModuleBytes(model)
            for inputs in Self.unfit(layerCase) {
                do { try model.layer.check(inputs) } catch {
                    refused += 1
                    #expect(error is OperationError)
                }
                _ = try? model.check(inputs)
                #expect(ModuleBytes(model) == before, "\(layerCase.name) after \(inputs.shape) \(inputs.dtype)")
            }
            try model.layer.check(fitting)
            #expect(try model.check(fitting).shape == model.check { model.layer(fitting) }.shape)
            #expect(ModuleBytes(model) == before)
            #expect(model.layer(fitting).bytes == fresh.layer(fitting).bytes)
        }
        // Layers that compute each element by itself take every shape.
        let takesAll = ["Dropout", "GELU", "ReLU", "SiLU", "Flatten"].contains(layerCase.name)
        #expect(takesAll || refused > 0, "\(layerCase.name)")
    }

    /// The message is the operation's, for modules of any kind.
    @Test func theMessageIsTheOperations() throws {
        final class Own: Module {
            let first: Linear
            init(using generator: inout SeededGenerator) { first = Linear(6, 2, using: &generator) }
            func forward(_ x: Tensor, _ y: Tensor) -> Tensor { first(x) + y }
        }
        var generator = SeededGenerator(seed: 1)
        let own = Own(using: &generator)
        #expect(try own.check { own.forward(.zeros([3, 6]), .zeros([2])) }.shape == [3, 2])
        let width = #expect(throws: OperationError.self) { try own.check { own.forward(.zeros([3, 5]), .zeros([2])) } }
        #expect(
            width?.message.contains("[3, 5]") == true && width?.message.contains("[2, 6]") == true, "\(width as Any)")
        #expect(throws: OperationError.self) { try own.check { own.forward(.zeros([3, 6]), .zeros([4])) } }
        #expect(throws: CancellationError.self) { try own.check { throw CancellationError() } }
    }
}

/// Points as a stage sees them, with the width that the model wants or another.
private struct Widths: Dataset {
    let points: Points
    let width: Int
    var count: Int { points.count }

    init(_ count: Int, width: Int = 6) {
        points = Points(count)
        self.width = width
    }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        var batch = try points.batch(indices, dtype: dtype)
        if width != 6 { batch.inputs = Tensor.zeros([indices.count, width], dtype: dtype) }
        return batch
    }
}

@Suite struct FirstBatchTests {
    private func expectBadBatch(
        _ stage: String, width: Int, location: SourceLocation = #_sourceLocation, _ body: () throws -> Void
    ) {
        let error = #expect(throws: TrainerError.self, sourceLocation: location) { try body() }
        guard case .badBatch(let batch)? = error else {
            Issue.record("\(String(describing: error))", sourceLocation: location)
            return
        }
        #expect(batch.stage == stage && batch.batch == 0, sourceLocation: location)
        #expect(batch.inputs == [4, width] && batch.targets == [4], sourceLocation: location)
        let text = "\(error as Any)"
        #expect(text.contains("[4, \(width)]") && text.contains("[8, 6]"), "\(text)", sourceLocation: location)
    }

    /// Each stage throws for its first batch, names it and quotes its shapes; the same trainer and module then do what those do
    /// that have never failed, bit for bit.
    @Test(arguments: Precision.allCases) func aWrongWidthIsThrown(_ precision: Precision) throws {
        let good = DataLoader(Widths(16), batchSize: 4), bad = DataLoader(Widths(16, width: 7), batchSize: 4)
        let module = SmallClassifier(), fresh = SmallClassifier()
        func trainer() -> Trainer { quietTrainer(maxEpochs: 2, precision: precision) { $0.numSanityValSteps = 0 } }
        let failing = trainer()
        expectBadBatch("training", width: 7) { try failing.fit(module, train: bad) }
        expectBadBatch("validation", width: 7) { try failing.validate(module, bad) }
        expectBadBatch("test 'b'", width: 7) { try failing.test(module, ["a": good, "b": bad]) }
        expectBadBatch("prediction", width: 7) { _ = try failing.predict(module, bad) }
        #expect(module.trainer == nil && module.parameters().allSatisfy { $0.requiresGradient })
        // What evaluation has drawn is none of dropout's numbers; training's only step threw before it drew any.
        try failing.fit(module, train: good, validation: good)
        let other = trainer()
        try other.fit(fresh, train: good, validation: good)
        #expect(module.bits == fresh.bits && failing.metrics["val_loss"] == other.metrics["val_loss"])
        #expect(try failing.predict(module, good).map(\.bytes) == other.predict(fresh, good).map(\.bytes))
    }

    /// Before the first step too: the sanity check, example inputs, searches, precision auto, and an epoch's last single sample.
    @Test func whatRunsBeforeTheFirstStepThrows() throws {
        let good = DataLoader(Widths(16), batchSize: 4), bad = DataLoader(Widths(16, width: 5), batchSize: 4)
        expectBadBatch("validation", width: 5) {
            try quietTrainer(maxEpochs: 1).fit(SmallClassifier(), train: good, validation: bad)
        }
        for callback in [LearningRateFinder(), BatchSizeFinder(4...8)] {
            expectBadBatch("training", width: 5) {
                try quietTrainer(maxEpochs: 1) { $0.callbacks = [callback] }.fit(SmallClassifier(), train: bad)
            }
        }
        expectBadBatch("training", width: 5) {
            let trainer = Trainer(maxEpochs: 1, precision: PrecisionChoice.auto) {
                $0.enableProgressBar = false
                $0.enableModelSummary = false
            }
            try trainer.fit(SmallClassifier(), train: bad)
        }
        #expect(throws: TrainerError.self) {
            try quietTrainer(maxEpochs: 1).fit(SmallClassifier(), train: DataLoader(Widths(5, width: 5), batchSize: 4))
        }
        final class Wrong: SmallClassifier {
            override var exampleInputs: Tensor? { Tensor.zeros([1, 9]) }
        }
        let error = #expect(throws: TrainerError.self) {
            try Trainer(maxEpochs: 1) { $0.enableProgressBar = false }.fit(Wrong(), train: good)
        }
        #expect("\(error as Any)".contains("exampleInputs") && "\(error as Any)".contains("[1, 9]"))
        #expect(throws: TrainerError.self) {
            try quietTrainer(maxEpochs: 1).autopsy(
                SmallClassifier(), Widths(4, width: 5).batch([0, 1, 2, 3], dtype: .float32))
        }
    }

    /// What a step throws by itself is passed on as it is, and a training step runs once for the first batch.
    @Test func ownErrorsAndCallsAreUnchanged() throws {
        final class Throwing: SmallClassifier {
            var calls = 0
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                calls += 1
                if calls == 3 { throw OperationError(message: "own") }
                if calls == 5 { throw StepFailure() }
                return try super.trainingStep(batch, index)
            }
        }
        let module = Throwing()
        let loader = DataLoader(Points(8), batchSize: 4)
        try quietTrainer(maxEpochs: 1).fit(module, train: loader)
        #expect(module.calls == 2)
        #expect(throws: OperationError(message: "own")) { try quietTrainer(maxEpochs: 1).fit(module, train: loader) }
        #expect(module.calls == 3)
        module.calls = 4
        #expect(throws: StepFailure.self) { try quietTrainer(maxEpochs: 1).fit(module, train: loader) }
    }

    /// Losses of 16 bits are refused, in each mode and wherever they enter.
    @Test(arguments: Precision.allCases, [DType.float16, .bfloat16])
    func aLossOfSixteenBitsIsRefused(_ precision: Precision, _ type: DType) throws {
        final class Coarse: SmallClassifier {
            var type = DType.float16
            override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
                try super.trainingStep(batch, index).cast(to: type)
            }
        }
        func expectRefusal(_ body: (Coarse) throws -> Void) {
            let module = Coarse()
            module.type = type
            let error = #expect(throws: TrainerError.self) { try body(module) }
            guard case .badLoss(0, let why)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(why.contains("\(type)") && why.contains("expected float32") && why.contains("cast"))
        }
        let loader = DataLoader(Points(8), batchSize: 4)
        expectRefusal { try quietTrainer(maxEpochs: 1, precision: precision).fit($0, train: loader) }
        for callback in [LearningRateFinder(), BatchSizeFinder(4...4), ShadowPrecision()] {
            expectRefusal {
                try quietTrainer(maxEpochs: 1, precision: precision) { $0.callbacks = [callback] }.fit(
                    $0, train: loader)
            }
        }
        expectRefusal {
            let batch = try Points(4).batch([0, 1, 2, 3], dtype: .float32)
            _ = try quietTrainer(maxEpochs: 1, precision: precision).autopsy($0, batch)
        }
    }
}

// Reading a module and calling it in evaluation mode from eight threads at once: nothing is written, and the bits are those of one.
import Dispatch
import Needletail
import Synchronization
import Testing

/// A layer whose parameters' names do not fit into a string's own 15 bytes: to write one frees what another task may read.
private final class LongNames: Module, Layer {
    let layerOfAPropertyWithALongName: any Layer

    init(_ layer: any Layer) { layerOfAPropertyWithALongName = layer }

    func forward(_ x: Tensor) -> Tensor { layerOfAPropertyWithALongName(x) }
}

@Suite struct ConcurrentReadingTests {
    /// Layers that write in evaluation mode, as their own code says.
    private static let writers = ["Jitter", "recomputed"]
    private static let cases = LayerCase.all.filter { !writers.contains($0.name) }

    /// What a task reads: names and values, and the module's result.
    private struct Reading: Equatable {
        let names: [String], states: [[UInt8]], output: [UInt8], recorded: [UInt8]

        init(_ module: any Layer, _ x: Tensor) {
            let dictionary = module.stateDictionary()
            names =
                dictionary.map(\.name) + module.namedModules().map(\.name) + module.mergedStateDictionary().map(\.name)
                + module.parameters().map { "\($0.shape) \($0.name)" } + ["\(module.isFrozen)"]
                + module.randomStates().keys.sorted()
            states = dictionary.map(\.tensor.bytes)
            module.evaluate()  // as it is already
            output = withoutGradients { module(x) }.bytes
            recorded = module(x).bytes
        }
    }

    @Test(arguments: cases) func eightTasksReadWhatOneReads(_ layerCase: LayerCase) {
        var generator = SeededGenerator(seed: 3)
        let model = LongNames(layerCase.make(&generator))
        let shape = [3] + layerCase.input
        let x =
            layerCase.isInteger
            ? Tensor((0..<shape.reduce(1, *)).map { Int64($0 % 7) }, shape: shape)
            : Tensor.normal(shape, using: &generator)
        if !layerCase.isInteger { _ = withoutGradients { model(x) } }  // running statistics of their own
        model.evaluate()
        nonisolated(unsafe) let module = model
        let alone = Reading(module, x)
        let differing = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<20 where Reading(module, x) != alone { differing.add(1, ordering: .relaxed) }
        }
        #expect(differing.load(ordering: .relaxed) == 0)
        #expect(module.parameters().allSatisfy { $0.name.isEmpty }, "names are written by nameParameters() alone")
    }

    /// Names alone, often: two tasks are then in the same parameter at the same time.
    @Test func eightTasksReadNames() {
        var generator = SeededGenerator(seed: 3)
        nonisolated(unsafe) let module = LongNames(Linear(2, 2, using: &generator))
        let alone = module.stateDictionary().map(\.name)
        let differing = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<5000 where module.stateDictionary().map(\.name) != alone {
                differing.add(1, ordering: .relaxed)
            }
        }
        #expect(differing.load(ordering: .relaxed) == 0)
    }

    /// Text is drawn by each task's own generator.
    @Test func eightTasksGenerateFromOneModel() {
        var generator = SeededGenerator(seed: 3)
        let model = GPT(GPTConfiguration(vocabulary: 7, context: 6, layers: 2, heads: 2, width: 8), using: &generator)
        model.evaluate()
        nonisolated(unsafe) let module = model
        @Sendable func text(_ seed: Int) -> [Int] {
            var generator = SeededGenerator(seed: UInt64(seed)), tokens: [Int] = []
            module.generate(after: [1, 2], count: 20, using: &generator) {
                tokens.append($0)
                return true
            }
            return tokens
        }
        let alone = (0..<8).map(text)
        let together = Mutex([[Int]](repeating: [], count: 8))
        DispatchQueue.concurrentPerform(iterations: 8) { task in
            let tokens = text(task)
            together.withLock { $0[task] = tokens }
        }
        #expect(together.withLock { $0 } == alone)
    }
}

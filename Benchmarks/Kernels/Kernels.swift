// The kernels through the public API: wall-clock time, throughput, allocations, resident memory.
// One thread, so that figures of two runs can be compared; `needletail bench` measures more.
import AllocationCount
import Benchmark
import Needletail

private let allocations = BenchmarkMetric.custom("Allocations (calls of malloc)", polarity: .prefersSmaller)
private let types: [DType] = [.float32, .bfloat16, .float16]

/// Registers a benchmark of `body`, of which one call does about `operations`: short ones are repeated a thousand times
/// an iteration.
private func measure(_ name: String, operations: Double, _ body: @escaping () -> Void) {
    Benchmark(
        name,
        configuration: .init(
            metrics: [.wallClock, .throughput, .peakMemoryResident, allocations], warmupIterations: 2,
            scalingFactor: operations < 2e7 ? .kilo : .one, maxDuration: .milliseconds(300))
    ) { benchmark in
        let before = allocation_count()
        for _ in benchmark.scaledIterations { body() }
        benchmark.measurement(allocations, Int(allocation_count() - before))
    }
}

let benchmarks: @Sendable () -> Void = {
    setThreadCount(1)
    var generator = SeededGenerator(seed: 7)
    func random(_ shape: [Int], _ type: DType) -> Tensor {
        Tensor.uniform(shape, in: -1..<1, dtype: type, using: &generator)
    }

    for file in ["mlp", "gpt2", "resnet50"] {
        for shape in Shape.read(file) {
            for type in types {
                // Made when the benchmark first runs: all operands together would not fit.
                var operands: (Tensor, Tensor)?
                measure("gemm \(shape.name) \(type)", operations: shape.operations) {
                    let (a, b) = operands ?? matrices(shape, type)
                    operands = (a, b)
                    blackHole(a.matmul(b))
                }
            }
        }
    }
    for (rows, classes) in [(64, 10), (1024, 1000)] {
        let targets = Tensor((0..<rows).map { Int64($0 % classes) })
        for type in types {
            let logits = random([rows, classes], type)
            measure("nll \(rows)x\(classes) forward+backward \(type)", operations: 20 * Double(rows * classes)) {
                guard let loss = try? crossEntropy(logits.trackingGradient(), targets) else { fatalError("targets") }
                loss.backward()
            }
        }
    }
    let count = 1 << 20
    for type in types {
        let x = random([count], type), z = random([count], type)
        measure("elementwise add 1Mi \(type)", operations: 3e7) { blackHole(x + z) }
        measure("elementwise gelu 1Mi \(type)", operations: 3e7) { blackHole(x.gelu()) }
        if type == .float32 { continue }
        let plain = random([count], .float32)
        measure("convert 1Mi float32->\(type)", operations: 3e7) { blackHole(plain.cast(to: type)) }
        measure("convert 1Mi \(type)->float32", operations: 3e7) { blackHole(x.cast(to: .float32)) }
    }
    for type in types {
        let step = trainingStep(type)
        measure("step 64 x 784-128-256-10 \(type)", operations: 5e7, step)
    }
}

private func matrices(_ shape: Shape, _ type: DType) -> (Tensor, Tensor) {
    var generator = SeededGenerator(seed: 11)
    func operand(_ rows: Int, _ columns: Int, transposed: Bool) -> Tensor {
        let stored = Tensor.uniform(
            transposed ? [columns, rows] : [rows, columns], in: -1..<1, dtype: type, using: &generator)
        return transposed ? stored.transposed() : stored
    }
    return (
        operand(shape.m, shape.k, transposed: shape.aIsTransposed),
        operand(shape.k, shape.n, transposed: shape.bIsTransposed)
    )
}

/// Forward, loss, backward and AdamW of the tutorial's model with float32 masters.
private func trainingStep(_ type: DType) -> () -> Void {
    var generator = SeededGenerator(seed: 13)
    let model = Sequential([
        Linear(784, 128, using: &generator), ReLU(), Linear(128, 256, using: &generator), ReLU(),
        Linear(256, 10, using: &generator),
    ])
    for parameter in model.parameters() { parameter.setTypes(storage: .float32, compute: type) }
    let optimizer = AdamW(model.parameters(), learningRate: 1e-9)
    let images = Tensor.uniform([64, 784], in: -1..<1, dtype: type, using: &generator)
    let labels = Tensor((0..<64).map { Int64($0 % 10) })
    return {
        optimizer.zeroGradients()
        guard let loss = try? crossEntropy(model(images), labels) else { fatalError("labels") }
        loss.backward()
        let check = optimizer.checkGradients()
        if check.isFinite { optimizer.step(check: check) }
    }
}

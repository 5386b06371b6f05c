// What is bound by memory: conversions and elementwise arithmetic.
import NeedletailTensor

/// y = x in another type: to and from each 16-bit type. Baseline: a copy of float32 that moves as many bytes,
/// past the caches from 32 MiB on as conversions do.
func convertCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> [CaseGroup] {
    let count = shape.sizes[0]
    let pairs = types.filter(\.is16Bit).flatMap { [(DType.float32, $0), ($0, DType.float32)] }
    var group = CaseGroup(layout: "cast", size: .vector(count: count))
    for (from, to) in pairs {
        let x = data.uniform([count], from)
        let y = Tensor.zeros([count], dtype: to)
        let bytes = x.byteCount + y.byteCount
        let source = Tensor.zeros([(bytes + 7) / 8]), target = Tensor.zeros([(bytes + 7) / 8])
        group.add(
            "\(from.rawValue)->\(to.rawValue)",
            Work(operations: Double(count), bytes: Double(bytes), workingSet: bytes, unit: .gigabytes),
            Contestant(
                "convert", run: { BenchmarkKernels.convert(x, into: y) }, sample: { BenchmarkKernels.sample(y) }),
            baseline: Contestant(
                "copy of as many bytes",
                run: { BenchmarkKernels.convert(source, into: target) },
                sample: { BenchmarkKernels.sample(target) }))
    }
    return group.cases.isEmpty ? [] : [group]
}

/// The operations that are measured: name, operands, operations an element, and the operation itself.
private let operations: [(name: String, operands: Int, work: Double, apply: @Sendable (Tensor, Tensor) -> Tensor)] = [
    ("add", 2, 1, { $0 + $1 }),
    ("gelu", 1, 4, { x, _ in x.gelu() }),
]

/// y = op(x, z). Baseline: 16-bit types widened, computed in float32 and rounded in three passes; float32 on the portable
/// `ref` kernels.
func elementwiseCases(_ shape: BenchmarkShape, _ types: [DType], _ only: String?, _ data: inout RandomData)
    -> [CaseGroup]
{
    let count = shape.sizes[0]
    return operations.filter { only == nil || $0.name == only }.map { operation in
        var group = CaseGroup(layout: operation.name, size: .vector(count: count))
        for type in types {
            let x = data.uniform([count], type), z = operation.operands == 2 ? data.uniform([count], type) : x
            func contestant(_ name: String, _ body: @escaping () -> Tensor) -> Contestant {
                let result = Kept<Tensor>()
                return Contestant(
                    name,
                    run: {
                        result.value = nil  // its block is the next result's
                        result.value = body()
                    }, sample: { result.value.map(BenchmarkKernels.sample) ?? 0 })
            }
            let bytes = (operation.operands + 1) * count * type.byteCount
            group.add(
                type.rawValue,
                Work(
                    operations: operation.work * Double(count), bytes: Double(bytes), workingSet: bytes,
                    unit: .gigabytes),
                contestant("direct") { operation.apply(x, z) },
                baseline: type.is16Bit
                    ? contestant("through float32") {
                        operation.apply(x.cast(to: .float32), z.cast(to: .float32)).cast(to: type)
                    } : contestant("ref kernels") { onReferenceKernels { operation.apply(x, z) } })
        }
        return group
    }
}

/// Runs `body` on the reference row, and then goes back to the row of before.
private func onReferenceKernels<R>(_ body: () -> R) -> R {
    let row = KernelInfo.activeRow
    _ = KernelInfo.setThreadRow("ref")
    defer { _ = KernelInfo.setThreadRow(row) }
    return body()
}

// Updates of one parameter: the fused pass, beside one pass for each thing that is done.
import NeedletailOptim
import NeedletailTensor

/// The optimizers that are measured; a new one is a line here.
private let optimizers:
    [(name: String, momentCount: Int, operations: Double, make: @Sendable ([Parameter]) -> Optimizer)] = [
        ("sgd momentum", 1, 4, { SGD($0, learningRate: rate, momentum: 0.9) }),
        ("adamw", 2, 14, { AdamW($0, learningRate: rate) }),
        ("rmsprop", 1, 7, { RMSprop($0, learningRate: rate) }),
        ("adagrad", 1, 5, { Adagrad($0, learningRate: rate) }),
        ("lion", 1, 7, { Lion($0, learningRate: rate) }),
    ]

/// So small that thousands of steps along the same gradient leave the values where they are.
private let rate = 1e-9

/// Finite check with norm, unscaling, clipping by norm, update and (for 16-bit types) the copy in that type.
///
/// Baseline: unscaling in a pass of its own, the check, clipping in a pass, the update without a copy, the copy in a pass.
func optimizerCases(_ shape: BenchmarkShape, _ types: [DType], _ only: String?, _ data: inout RandomData)
    -> [CaseGroup]
{
    let count = shape.sizes[0]
    let values = data.uniform([count]), direction = data.uniform([count])
    return optimizers.filter { only == nil || $0.name == only }.map { optimizer in
        var group = CaseGroup(layout: optimizer.name, size: .vector(count: count))
        for type in types {
            func parameter(_ compute: DType) -> Parameter {
                let parameter = Parameter(values)
                parameter.setTypes(storage: .float32, compute: compute)
                (parameter.value * direction.cast(to: compute)).sum().backward()
                return parameter
            }
            let fused = parameter(type), plain = parameter(.float32)
            let (ours, theirs) = (optimizer.make([fused]), optimizer.make([plain]))
            let copy = Tensor.zeros([count], dtype: type)
            // Check: g. Update: g, p and moments read, p and moments written, copy written.
            let shadowBytes = type == .float32 ? 0 : type.byteCount
            let bytes = 4 * (2 + 2 * (1 + optimizer.momentCount)) + shadowBytes
            let work = Work(
                operations: (optimizer.operations + 4) * Double(count), bytes: Double(bytes) * Double(count),
                workingSet: (4 * (2 + optimizer.momentCount) + shadowBytes) * count, unit: .gigabytes)
            group.add(
                type.rawValue, work,
                Contestant(
                    "fused",
                    run: {
                        let check = ours.checkGradients(gradientScale: 1)
                        ours.step(check: check, clipping: .norm(1))
                    }, sample: { BenchmarkKernels.sample(fused.value.detached()) }),
                baseline: Contestant(
                    "a pass for each",
                    run: {
                        guard let gradient = plain.gradient else { return }
                        BenchmarkKernels.scale(gradient, by: 1)
                        let check = theirs.checkGradients()
                        if check.isFinite { BenchmarkKernels.scale(gradient, by: 1) }
                        theirs.step(check: check)
                        if type != .float32 { BenchmarkKernels.convert(plain.master, into: copy) }
                    }, sample: { BenchmarkKernels.sample(plain.master) }))
        }
        return group
    }
}

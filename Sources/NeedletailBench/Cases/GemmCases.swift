// Matrix products in each type, beside OpenBLAS's sgemm on the same shape and layout.
import NeedletailTensor

/// c [m, n] = a [m, k] b [k, n]; a transposed operand is stored the other way round and taken as a view.
func gemmCases(_ shape: BenchmarkShape, _ types: [DType], _ data: inout RandomData) -> CaseGroup {
    let (m, n, k) = (shape.sizes[0], shape.sizes[1], shape.sizes[2])
    let layout = shape.layout ?? .nn
    func operands(_ type: DType) -> (a: Tensor, b: Tensor, c: Tensor) {
        let a =
            layout == .tn || layout == .tt ? data.uniform([k, m], type).transposed() : data.uniform([m, k], type)
        let b =
            layout == .nt || layout == .tt ? data.uniform([n, k], type).transposed() : data.uniform([k, n], type)
        return (a, b, Tensor.zeros([m, n], dtype: type))
    }
    var group = CaseGroup(layout: layout.rawValue, size: .product(m: m, n: n, k: k))
    let (a, b, c) = operands(.float32)
    group.baselines = [
        Contestant(
            "OpenBLAS sgemm, \(BenchmarkKernels.openBLASCore)", usesOpenBLAS: true,
            run: BenchmarkKernels.openBLASGemm(a, b, into: c),
            sample: { BenchmarkKernels.sample(c) })
    ]
    for type in types {
        let (a, b, c) = operands(type)
        let bytes = (m * k + k * n + m * n) * type.byteCount
        group.add(
            type.rawValue,
            Work(
                operations: 2 * Double(m) * Double(n) * Double(k), bytes: Double(bytes), workingSet: bytes,
                unit: .gigaflops),
            Contestant(
                "gemm", run: BenchmarkKernels.gemm(a, b, into: c), sample: { BenchmarkKernels.sample(c) }))
    }
    return group
}

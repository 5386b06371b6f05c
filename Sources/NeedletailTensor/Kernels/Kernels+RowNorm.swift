// Layer and RMS normalisation of the rows of contiguous tensors.
internal import CSIMD

/// Which normalisation of rows, as the kernel takes it.
struct RowNormArguments {
    let isRMS: Bool
    let x: Tensor  // [rows…, columns], contiguous
    let weight: Tensor?  // [columns], of the type of x
    let bias: Tensor?
    let epsilon: Double

    var columns: Int { x.shape[x.rank - 1] }
    var rows: Int { columns == 0 ? 0 : x.count / columns }
}

extension Kernels {
    /// The result, and the statistics of each row: four float64 each, `csimd_row_statistics`.
    static func rowNorm(_ arguments: RowNormArguments) -> (y: Tensor, statistics: Tensor) {
        let x = arguments.x
        let y = Tensor(uninitialized: x.shape, x.dtype)
        let statistics = Tensor(uninitialized: [arguments.rows, 4], .float64)
        let status = withNative(arguments) { native in
            withMemory(of: y, statistics) {
                csimd_row_norm(&native, $0, $1.assumingMemoryBound(to: csimd_row_statistics.self))
            }
        }
        expectSuccess(status, "row norm")
        return (y, statistics)
    }

    /// dx, and the gradients of weight and bias into memory of the accumulation type; what is nil is not computed.
    static func rowNormGradient(
        _ arguments: RowNormArguments, statistics: Tensor, dy: Tensor, dx: Tensor?,
        weight: (buffer: Tensor, accumulate: Bool)?, bias: (buffer: Tensor, accumulate: Bool)?
    ) {
        assert(dy.isContiguous)
        let status = withNative(arguments) { native in
            withMemory(of: statistics, dy, dx, weight?.buffer, bias?.buffer) {
                csimd_row_norm_gradient(
                    &native, $0.assumingMemoryBound(to: csimd_row_statistics.self), $1, $2, $3,
                    weight?.accumulate ?? false, $4, bias?.accumulate ?? false)
            }
        }
        expectSuccess(status, "row norm gradient")
    }

    private static func withNative<Result>(
        _ arguments: RowNormArguments, _ body: (inout csimd_row_norm_args) -> Result
    ) -> Result {
        assert(arguments.x.isContiguous)
        return withMemory(of: arguments.x, arguments.weight, arguments.bias) {
            var native = csimd_row_norm_args(
                kind: arguments.isRMS ? CSIMD_RMS_NORM : CSIMD_LAYER_NORM, type: arguments.x.dtype.csimd,
                rows: arguments.rows, columns: arguments.columns, x: UnsafeRawPointer($0), weight: UnsafeRawPointer($1),
                bias: UnsafeRawPointer($2), epsilon: arguments.epsilon)
            return body(&native)
        }
    }
}

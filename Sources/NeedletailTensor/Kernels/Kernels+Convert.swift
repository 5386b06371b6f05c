// Conversions between element types, and the loader's gather.
internal import CSIMD

extension Kernels {
    /// y = x in the type of y, both contiguous, of the same count.
    static func convert(_ x: Tensor, to y: Tensor) {
        let status = withMemory(of: x, y) { csimd_cast(x.dtype.element, $0, y.dtype.element, $1, x.count) }
        expectSuccess(status, "cast")
    }
}

/// y[i, …] = bytes[rows[i], …] * scale + shift in `dtype`: rows of unsigned bytes gathered, normalised and converted in one
/// pass, on the calling thread only.
///
/// Shapes: bytes [N, …] uint8, result [rows.count, …].
package func gatherNormalizeRows(_ bytes: Tensor, rows: [Int], scale: Float, shift: Float, dtype: DType) -> Tensor {
    require(
        bytes.dtype == .uint8 && bytes.rank >= 1,
        "gatherNormalizeRows: found \(bytes.dtype) \(bytes.shape), expected uint8 [N, …]")
    let bytes = bytes.contiguous()
    let limit = bytes.shape[0]
    let index = rows.map { row -> Int64 in
        require(row >= 0 && row < limit, "gatherNormalizeRows: row \(row) is outside 0..<\(limit)")
        return Int64(row)
    }
    let rowShape = Array(bytes.shape.dropFirst())
    let result = Tensor(uninitialized: [rows.count] + rowShape, dtype)
    let status = withMemory(of: bytes.elements(UInt8.self), result) {
        csimd_gather_normalize_u8(
            rows.count, Shapes.count(rowShape), $0.baseAddress, index, scale, shift, dtype.csimd, $1)
    }
    expectSuccess(status, "gatherNormalizeRows")
    return result
}

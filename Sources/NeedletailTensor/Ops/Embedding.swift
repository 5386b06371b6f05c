// Rows of a table by their numbers, and rotary positions.
import Foundation

/// The rows of a table that indices name.
///
/// Shapes: table [rows, columns], indices […] integers in 0..<rows, result […, columns]. Another index traps.
/// Gradients: dy added to the rows in the order of the indices, in float32, straight into a parameter's gradient.
public func embedding(_ table: Tensor, _ indices: Tensor) -> Tensor {
    require(
        table.rank == 2 && table.dtype.isFloatingPoint,
        "embedding: found a table \(table.dtype) \(table.shape), expected floating-point [rows, columns]")
    require(
        !indices.dtype.isFloatingPoint && indices.dtype != .bool,
        "embedding: indices are \(indices.dtype), expected an integer type")
    let positions = indices.detached().cast(to: .int64).contiguous()
    let y = Kernels.embedding(table.detached().contiguous(), positions)
    let (shape, type, rows) = (table.shape, table.dtype, positions.count)
    let leaf = (table.node as? LeafNode).flatMap { $0.dtype == type.accumulationType ? $0 : nil }
    return y.reshape(indices.shape + [shape[1]]).recorded("embedding", partOf: table) { dy, sum in
        let dy = dy.contiguous().reshape([rows, shape[1]])
        func add(to buffer: Tensor, accumulate: Bool) {
            Kernels.embeddingGradient(dy, positions, accumulate: accumulate, into: buffer)
        }
        if let leaf {
            leaf.accumulate(add)
        } else {
            sum.add(shape, type) { add(to: $0, accumulate: true) }
        }
    }
}

/// The angles of rotary positions: position p turns pair j of a head by p / base^(2 j / size).
///
/// Source: Su et al., arXiv 2104.09864; pairs are (j, j + size / 2), as in Llama.
public struct RotaryAngles: Sendable {
    /// Elements of a head; even.
    public let headSize: Int
    /// Positions that there are angles for.
    public let positions: Int
    private let tables: [DType: (cosine: Tensor, sine: Tensor)]

    /// Angles for positions 0..<`positions`.
    public init(headSize: Int, positions: Int, base: Double = 10000) {
        require(headSize > 0 && headSize % 2 == 0, "RotaryAngles: head size \(headSize), expected an even number")
        require(positions >= 0, "RotaryAngles: \(positions) positions, expected zero or more")
        self.headSize = headSize
        self.positions = positions
        let half = headSize / 2
        var cosine: [Double] = [], sine: [Double] = []
        for position in 0..<positions {
            for j in 0..<half {
                let angle = Double(position) * Foundation.pow(base, -2 * Double(j) / Double(headSize))
                cosine.append(Foundation.cos(angle))
                sine.append(Foundation.sin(angle))
            }
        }
        let wide = (Tensor(cosine, shape: [positions, half]), Tensor(sine, shape: [positions, half]))
        tables = [
            .float64: wide, .float32: (wide.0.cast(to: .float32), wide.1.cast(to: .float32)),
        ]
    }

    fileprivate func table(_ dtype: DType) -> (cosine: Tensor, sine: Tensor) {
        guard let table = tables[dtype] else { stop("RotaryAngles: no table of \(dtype)") }
        return table
    }
}

/// Each head of x turned by the angles of its row's position: y_j = x_j cos - x_{j+half} sin, y_{j+half} = x_{j+half} cos + x_j sin.
///
/// Shapes: x [batch, rows, heads · angles.headSize]; row t has position `first` + t.
/// Precision: float32 (float64 for float64), one rounding. Gradients: dy turned back.
public func rotaryPositions(_ x: Tensor, _ angles: RotaryAngles, first: Int = 0) -> Tensor {
    require(
        x.rank == 3 && x.dtype.isFloatingPoint && x.shape[2] % angles.headSize == 0,
        "rotaryPositions: found \(x.dtype) \(x.shape), expected [batch, rows, heads · \(angles.headSize)]")
    let rows = x.shape[1]
    require(
        first >= 0 && first + rows <= angles.positions,
        "rotaryPositions: positions \(first)..<\(first + rows), expected within 0..<\(angles.positions)")
    let (cosine, sine) = angles.table(x.dtype.accumulationType)
    let heads = x.shape[2] / angles.headSize
    func turned(_ x: Tensor, inverse: Bool) -> Tensor {
        let rowsAreEven = x.shape[2] == 1 || x.strides[2] == 1
        let isStrided =
            rowsAreEven && (x.shape[0] == 1 || x.strides[0] == x.strides[1] * rows) && x.strides[1] >= x.shape[2]
        let source = isStrided ? x : x.contiguous()
        return Kernels.rotary(
            source, stride: max(source.strides[1], source.shape[2]), heads: heads, size: angles.headSize,
            cosine: cosine,
            sine: sine, first: first, period: max(rows, 1), inverse: inverse)
    }
    return turned(x.detached(), inverse: false).recorded("rotaryPositions", [x]) { [turned($0, inverse: true)] }
}

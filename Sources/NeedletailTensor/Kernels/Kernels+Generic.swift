// Loops over any element type: comparison, selection, integer arithmetic, gather. Operands are contiguous and of one type.
internal import CSIMD

/// A comparison of two elements.
enum Comparison {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual

    fileprivate var csimd: csimd_comparison {
        switch self {
        case .equal: CSIMD_EQUAL
        case .notEqual: CSIMD_NOT_EQUAL
        case .less: CSIMD_LESS
        case .lessOrEqual: CSIMD_LESS_OR_EQUAL
        case .greater: CSIMD_GREATER
        case .greaterOrEqual: CSIMD_GREATER_OR_EQUAL
        }
    }
}

extension Kernels {
    /// a ? b as bool, elementwise; `b` may be one element for all. Either may have any strides.
    static func compare(_ comparison: Comparison, _ a: Tensor, _ b: Tensor) -> Tensor {
        let y = Tensor(uninitialized: a.shape, .bool)
        let repeats = b.count > 0 && zip(b.shape, b.strides).allSatisfy { $0 == 1 || $1 == 0 }
        let a = a.detached().contiguous(), b = repeats ? b : b.detached().contiguous()
        let status = withMemory(of: a, b, y.elements(Bool.self)) {
            csimd_compare(
                comparison.csimd, a.dtype.element, a.count, $0, $1, repeats,
                UnsafeMutableRawPointer($2.baseAddress)?.assumingMemoryBound(to: UInt8.self))
        }
        expectSuccess(status, "compare")
        return y
    }

    /// condition ? a : b, elementwise.
    static func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
        let y = Tensor(uninitialized: a.shape, a.dtype)
        let status = withMemory(of: condition, a, b, y) {
            csimd_select(a.dtype.byteCount, a.count, $0.assumingMemoryBound(to: UInt8.self), $1, $2, $3)
        }
        expectSuccess(status, "where")
        return y
    }

    /// Integer arithmetic, wrapping as two's complement; division truncates and by zero gives 0. Of bool as of 0 and 1, a
    /// result that is not 0 being true.
    static func integer(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor) -> Tensor {
        switch operation {
        case .add, .subtract, .multiply, .divide, .maximum, .minimum: break
        default: stop("\(operation) takes floating-point tensors, found \(a.dtype)")
        }
        let y = Tensor(uninitialized: a.shape, a.dtype)
        let status = withMemory(of: a, b, y) {
            csimd_integer_binary(operation.csimd, a.dtype.element, a.count, $0, $1, $2)
        }
        expectSuccess(status, "integer arithmetic")
        return y
    }

    /// Sum, as int64, or largest, in the type of x, over the middle of integers [outer, count, inner].
    static func integerReduce(_ x: Tensor, outer: Int, count: Int, inner: Int, maximum: Bool, to y: Tensor) {
        let wide = y.dtype == .int64 ? y : Tensor(uninitialized: y.shape, .int64)
        let status = withMemory(of: x, wide.elements(Int64.self)) {
            csimd_integer_reduce(
                maximum ? CSIMD_MAX : CSIMD_SUM, x.dtype.element, outer, count, inner, $0, $1.baseAddress)
        }
        expectSuccess(status, "reduce")
        if y.dtype != .int64 { convert(wide, to: y) }
    }

    /// y[i, j, k] = x[i, index[i, j, k], k]; x [outer, size, inner], index and y [outer, count, inner].
    static func gather(_ x: Tensor, _ index: Tensor, outer: Int, size: Int, inner: Int, count: Int, to y: Tensor) {
        struct Gather: ScalarVisitor {
            let x: Tensor, index: Tensor, y: Tensor
            let outer: Int, size: Int, inner: Int, count: Int
            func visit<T: TensorScalar>(_ type: T.Type) {
                withMemory(of: x.elements(T.self), index.elements(Int64.self), y.elements(T.self)) {
                    source, positions, target in
                    for i in 0..<outer {
                        for j in 0..<count {
                            let row = (i * count + j) * inner, base = i * size * inner
                            for k in 0..<inner {
                                let position = Int(positions[row &+ k])
                                require(
                                    position >= 0 && position < size,
                                    "gather: index \(position) is outside 0..<\(size)")
                                target[row &+ k] = source[base &+ position &* inner &+ k]
                            }
                        }
                    }
                }
            }
        }
        x.dtype.accept(Gather(x: x, index: index, y: y, outer: outer, size: size, inner: inner, count: count))
    }

    /// The transpose of `gather`: y[i, index[i, j, k], k] += dy[i, j, k] in order, y float32 or float64.
    static func scatterAdd(
        _ dy: Tensor, _ index: Tensor, outer: Int, size: Int, inner: Int, count: Int, to y: Tensor
    ) {
        func run<T: TensorScalar & BinaryFloatingPoint>(_ type: T.Type) {
            withMemory(of: dy.elements(T.self), index.elements(Int64.self), y.elements(T.self)) {
                source, positions, target in
                for i in 0..<outer {
                    for j in 0..<count {
                        let row = (i * count + j) * inner, base = i * size * inner
                        for k in 0..<inner {
                            target[base &+ Int(positions[row &+ k]) &* inner &+ k] += source[row &+ k]
                        }
                    }
                }
            }
        }
        y.dtype == .float64 ? run(Double.self) : run(Float.self)
    }
}

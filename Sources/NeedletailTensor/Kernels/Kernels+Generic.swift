// Loops over any element type: comparison, selection, integer arithmetic. Operands are contiguous and of one type.

/// A comparison of two elements.
enum Comparison {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
}

extension Kernels {
    /// a ? b as bool, elementwise.
    static func compare(_ comparison: Comparison, _ a: Tensor, _ b: Tensor) -> Tensor {
        struct Compare: ScalarVisitor {
            let comparison: Comparison
            let a: Tensor, b: Tensor, y: Tensor
            func visit<T: TensorScalar>(_ type: T.Type) {
                func run<V>(_ value: (T) -> V, _ test: (V, V) -> Bool) {
                    withMemory(of: a.elements(T.self), b.elements(T.self), y.elements(Bool.self)) { a, b, y in
                        for index in a.indices { y[index] = test(value(a[index]), value(b[index])) }
                    }
                }
                if T.dtype.isFloatingPoint {
                    switch comparison {
                    case .equal: run(\.float64Value, ==)
                    case .notEqual: run(\.float64Value, !=)
                    case .less: run(\.float64Value, <)
                    case .lessOrEqual: run(\.float64Value, <=)
                    case .greater: run(\.float64Value, >)
                    case .greaterOrEqual: run(\.float64Value, >=)
                    }
                } else {
                    switch comparison {
                    case .equal: run(\.int64Value, ==)
                    case .notEqual: run(\.int64Value, !=)
                    case .less: run(\.int64Value, <)
                    case .lessOrEqual: run(\.int64Value, <=)
                    case .greater: run(\.int64Value, >)
                    case .greaterOrEqual: run(\.int64Value, >=)
                    }
                }
            }
        }
        let y = Tensor(uninitialized: a.shape, .bool)
        a.dtype.accept(Compare(comparison: comparison, a: a, b: b, y: y))
        return y
    }

    /// condition ? a : b, elementwise.
    static func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor) -> Tensor {
        struct Select: ScalarVisitor {
            let condition: Tensor, a: Tensor, b: Tensor, y: Tensor
            func visit<T: TensorScalar>(_ type: T.Type) {
                withMemory(
                    of: condition.elements(Bool.self), a.elements(T.self), b.elements(T.self), y.elements(T.self)
                ) { condition, a, b, y in
                    for index in condition.indices { y[index] = condition[index] ? a[index] : b[index] }
                }
            }
        }
        let y = Tensor(uninitialized: a.shape, a.dtype)
        a.dtype.accept(Select(condition: condition, a: a, b: b, y: y))
        return y
    }

    /// Integer arithmetic, wrapping as two's complement; division truncates and by zero gives 0. In Int64, low bits kept.
    static func integer(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor) -> Tensor {
        struct Arithmetic: ScalarVisitor {
            let a: Tensor, b: Tensor, y: Tensor
            let operation: (Int64, Int64) -> Int64
            func visit<T: TensorScalar>(_ type: T.Type) {
                withMemory(of: a.elements(T.self), b.elements(T.self), y.elements(T.self)) { a, b, y in
                    for index in a.indices {
                        y[index] = T(nearest: operation(a[index].int64Value, b[index].int64Value))
                    }
                }
            }
        }
        let function: (Int64, Int64) -> Int64 =
            switch operation {
            case .add: (&+)
            case .subtract: (&-)
            case .multiply: (&*)
            case .divide: { $1 == 0 ? 0 : $0.dividedReportingOverflow(by: $1).partialValue }
            case .maximum: { Swift.max($0, $1) }
            case .minimum: { Swift.min($0, $1) }
            default: stop("\(operation) takes floating-point tensors, found \(a.dtype)")
            }
        let y = Tensor(uninitialized: a.shape, a.dtype)
        a.dtype.accept(Arithmetic(a: a, b: b, y: y, operation: function))
        return y
    }

    /// y[i, k] = sum or largest of x[i, j, k] over j, integers in Int64; x as [outer, count, inner].
    static func integerReduce(_ x: Tensor, outer: Int, count: Int, inner: Int, maximum: Bool, to y: Tensor) {
        struct Reduce: ScalarVisitor {
            let x: Tensor, y: Tensor
            let outer: Int, count: Int, inner: Int, maximum: Bool
            func visit<T: TensorScalar>(_ type: T.Type) {
                withMemory(of: x.elements(T.self)) { source in
                    for i in 0..<outer {
                        for k in 0..<inner {
                            var total = maximum ? Int64.min : 0
                            for j in 0..<count {
                                let value = source[(i * count + j) * inner + k].int64Value
                                total = maximum ? Swift.max(total, value) : total &+ value
                            }
                            y.dtype.accept(Store(y: y, index: i * inner + k, value: total))
                        }
                    }
                }
            }
        }
        struct Store: ScalarVisitor {
            let y: Tensor, index: Int, value: Int64
            func visit<T: TensorScalar>(_ type: T.Type) {
                withMemory(of: y.elements(T.self)) { $0[index] = T(nearest: value) }
            }
        }
        x.dtype.accept(Reduce(x: x, y: y, outer: outer, count: count, inner: inner, maximum: maximum))
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
                            for k in 0..<inner {
                                let at = (i * count + j) * inner + k
                                let position = Int(positions[at])
                                require(
                                    position >= 0 && position < size,
                                    "gather: index \(position) is outside 0..<\(size)")
                                target[at] = source[(i * size + position) * inner + k]
                            }
                        }
                    }
                }
            }
        }
        x.dtype.accept(Gather(x: x, index: index, y: y, outer: outer, size: size, inner: inner, count: count))
    }

    /// The transpose of `gather`: y[i, index[i, j, k], k] += dy[i, j, k] in order, y float32 or float64 and zero before.
    static func scatterAdd(
        _ dy: Tensor, _ index: Tensor, outer: Int, size: Int, inner: Int, count: Int, to y: Tensor
    ) {
        func run<T: TensorScalar & BinaryFloatingPoint>(_ type: T.Type) {
            withMemory(of: dy.elements(T.self), index.elements(Int64.self), y.elements(T.self)) {
                source, positions, target in
                for i in 0..<outer {
                    for j in 0..<count {
                        for k in 0..<inner {
                            let at = (i * count + j) * inner + k
                            target[(i * size + Int(positions[at])) * inner + k] += source[at]
                        }
                    }
                }
            }
        }
        y.dtype == .float64 ? run(Double.self) : run(Float.self)
    }
}

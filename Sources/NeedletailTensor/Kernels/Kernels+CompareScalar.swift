// Comparison of a tensor's elements with a number, exactly: the number is replaced by an element of the tensor's type that divides the
// elements of that type as it does.

extension Kernels {
    /// x ? s as bool, elementwise.
    static func compare(_ comparison: Comparison, _ x: Tensor, _ s: Double) -> Tensor {
        comparing(x, comparison.with(s, x.dtype))
    }

    /// x ? s as bool, elementwise.
    static func compare(_ comparison: Comparison, _ x: Tensor, _ s: Int) -> Tensor {
        if let exact = Double(exactly: s) { return compare(comparison, x, exact) }
        guard x.dtype.isFloatingPoint else { return comparing(x, .with(comparison, bound: .integer(Int64(s)))) }
        // Beyond 2^53: on which side of the nearest Double the number lies decides.
        let nearest = Double(s)
        let isAbove = nearest >= 0x1p63 ? false : Int(nearest) < s
        return comparing(x, comparison.with(nearest, offset: isAbove ? 1 : -1, x.dtype))
    }

    private static func comparing(_ x: Tensor, _ test: ScalarTest) -> Tensor {
        struct Compare: ScalarVisitor {
            let x: Tensor, y: Tensor
            let comparison: Comparison
            let bound: ScalarTest.Bound
            func visit<T: TensorScalar>(_ type: T.Type) {
                func run<V>(_ bound: V, _ value: (T) -> V, _ test: (V, V) -> Bool) {
                    withMemory(of: x.elements(T.self), y.elements(Bool.self)) { x, y in
                        for index in x.indices { y[index] = test(value(x[index]), bound) }
                    }
                }
                func run<V: Comparable>(_ bound: V, _ value: (T) -> V) {
                    switch comparison {
                    case .equal: run(bound, value, ==)
                    case .notEqual: run(bound, value, !=)
                    case .less: run(bound, value, <)
                    case .lessOrEqual: run(bound, value, <=)
                    case .greater: run(bound, value, >)
                    case .greaterOrEqual: run(bound, value, >=)
                    }
                }
                switch bound {
                case .integer(let bound): run(bound, \.int64Value)
                case .double(let bound): run(bound, \.float64Value)
                case .float(let bound): run(bound) { Float($0.float64Value) }
                }
            }
        }
        switch test {
        case .always(let value): return Tensor.full(x.shape, value ? 1 : 0, dtype: .bool)
        case .with(let comparison, let bound):
            let x = x.detached().contiguous()
            let y = Tensor(uninitialized: x.shape, .bool)
            x.dtype.accept(Compare(x: x, y: y, comparison: comparison, bound: bound))
            return y
        }
    }
}

/// A test of each element: the same for all, or a comparison with a bound that elements of the type may have.
private enum ScalarTest {
    enum Bound {
        case integer(Int64)
        case float(Float)
        case double(Double)
    }

    case always(Bool)
    case with(Comparison, bound: Bound)
}

extension Comparison {
    /// The test of elements of `type` that holds where this comparison with `s` does. With an `offset` of 1 or -1 the number is a
    /// little more or less than `s`.
    fileprivate func with(_ s: Double, offset: Int = 0, _ type: DType) -> ScalarTest {
        if s.isNaN { return .always(self == .notEqual) }
        switch type {
        case .float64: return against(.double(s), offset)
        case .float32, .float16, .bfloat16:
            let nearest = Float(s)
            return against(.float(nearest), Double(nearest) < s ? 1 : Double(nearest) > s ? -1 : offset)
        case .int32, .int64, .uint8, .bool:
            if s >= 0x1p63 { return against(.integer(.max), 1) }
            if s < -0x1p63 { return against(.integer(.min), -1) }
            let below = s.rounded(.down)
            return against(.integer(Int64(below)), below < s ? 1 : 0)
        }
    }

    /// The comparison with a number that is the bound itself (0), or lies above (1) or below it (-1) without an element between.
    private func against(_ bound: ScalarTest.Bound, _ side: Int) -> ScalarTest {
        if side == 0 { return .with(self, bound: bound) }
        switch self {
        case .equal: return .always(false)
        case .notEqual: return .always(true)
        case .less, .lessOrEqual: return .with(side > 0 ? .lessOrEqual : .less, bound: bound)
        case .greater, .greaterOrEqual: return .with(side > 0 ? .greater : .greaterOrEqual, bound: bound)
        }
    }
}

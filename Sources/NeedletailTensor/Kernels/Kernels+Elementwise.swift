// Elementwise arithmetic: floating-point types by the C kernels, integers by loops.
internal import CSIMD

/// One-operand operations that have a kernel.
enum UnaryOperation {
    case negate, abs, exp, log, sqrt, tanh, sigmoid, relu, gelu, geluTanh, silu, clamp, power, divideBy, divideInto
    case scaleShift

    fileprivate var csimd: csimd_unary_op {
        switch self {
        case .negate: CSIMD_NEGATE
        case .abs: CSIMD_ABS
        case .exp: CSIMD_EXP
        case .log: CSIMD_LOG
        case .sqrt: CSIMD_SQRT
        case .tanh: CSIMD_TANH
        case .sigmoid: CSIMD_SIGMOID
        case .relu: CSIMD_RELU
        case .gelu: CSIMD_GELU
        case .geluTanh: CSIMD_GELU_TANH
        case .silu: CSIMD_SILU
        case .clamp: CSIMD_CLAMP
        case .power: CSIMD_POWER
        case .divideBy: CSIMD_DIVIDE_BY
        case .divideInto: CSIMD_DIVIDE_INTO
        case .scaleShift: CSIMD_SCALE_SHIFT
        }
    }
}

/// Two-operand operations that have a kernel. The gradients take what is named first, dy second.
enum BinaryOperation {
    case add, subtract, multiply, divide, maximum, minimum
    case expGradient, logGradient, sqrtGradient, powerGradient, tanhGradient, sigmoidGradient
    case reluGradient, geluGradient, geluTanhGradient, siluGradient, absGradient
    case siluMultiply

    var csimd: csimd_binary_op {
        switch self {
        case .add: CSIMD_ADD
        case .subtract: CSIMD_SUBTRACT
        case .multiply: CSIMD_MULTIPLY
        case .divide: CSIMD_DIVIDE
        case .maximum: CSIMD_MAXIMUM
        case .minimum: CSIMD_MINIMUM
        case .expGradient: CSIMD_EXP_GRADIENT
        case .logGradient: CSIMD_LOG_GRADIENT
        case .sqrtGradient: CSIMD_SQRT_GRADIENT
        case .powerGradient: CSIMD_POWER_GRADIENT
        case .tanhGradient: CSIMD_TANH_GRADIENT
        case .sigmoidGradient: CSIMD_SIGMOID_GRADIENT
        case .reluGradient: CSIMD_RELU_GRADIENT
        case .geluGradient: CSIMD_GELU_GRADIENT
        case .geluTanhGradient: CSIMD_GELU_TANH_GRADIENT
        case .siluGradient: CSIMD_SILU_GRADIENT
        case .absGradient: CSIMD_ABS_GRADIENT
        case .siluMultiply: CSIMD_SILU_MULTIPLY
        }
    }
}

extension Kernels {
    /// op(x; p, q), contiguous, in the type of x.
    static func unary(_ operation: UnaryOperation, _ x: Tensor, _ p: Double = 0, _ q: Double = 0) -> Tensor {
        let x = x.contiguous()
        let y = Tensor(uninitialized: x.shape, x.dtype)
        let status = withMemory(of: x, y) { csimd_unary(operation.csimd, x.dtype.csimd, x.count, $0, p, q, $1) }
        expectSuccess(status, "unary")
        return y
    }

    /// x *= factor in place.
    static func scale(_ x: Tensor, by factor: Double) {
        let status = withMemory(of: x) {
            csimd_unary(CSIMD_SCALE_SHIFT, x.dtype.csimd, x.count, $0, factor, 0, $0)
        }
        expectSuccess(status, "scale")
    }

    /// op(a, b) with broadcasting, both of one floating-point type.
    static func binary(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor) -> Tensor {
        guard let shape = Shapes.broadcast(a.shape, b.shape) else { broadcastFailure(operation, a, b) }
        let y = Tensor(uninitialized: shape, a.dtype)
        binary(operation, a, b, into: y)
        return y
    }

    /// y = op(a, b), y contiguous of the broadcast shape; y may be one of the operands.
    static func binary(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor, into y: Tensor) {
        require(a.dtype == b.dtype && a.dtype == y.dtype, "\(operation): types \(a.dtype) and \(b.dtype) differ")
        if y.count == 0 { return }
        let plan = BroadcastPlan(a, b, shape: y.shape)
        let size = a.dtype.byteCount
        var outerA = StridedPositions(shape: plan.outer, strides: plan.outerA)
        var outerB = StridedPositions(shape: plan.outer, strides: plan.outerB)
        withMemory(of: plan.a, plan.b, y) { a, b, y in
            var target = y
            while let startA = outerA.next(), let startB = outerB.next() {
                let operandA = csimd_operand(
                    base: a + startA * size, row_stride: plan.rowA, column_stride: plan.columnA)
                let operandB = csimd_operand(
                    base: b + startB * size, row_stride: plan.rowB, column_stride: plan.columnB)
                let status = csimd_binary(
                    operation.csimd, plan.a.dtype.csimd, plan.rows, plan.columns, operandA, operandB, target)
                expectSuccess(status, "binary")
                target += plan.rows * plan.columns * size
            }
        }
    }

    /// The elements that a sum of arrays is written to: `rows` runs of `columns` elements, `stride` apart, from `offset` on.
    struct Part {
        var rows = 1
        var columns: Int
        var offset = 0
        var stride: Int
    }

    /// y = the sum of the terms in their order, or y + that sum: contiguous, of y's type or 16-bit where y is float32, rounded
    /// once. Of a part of y where one is given, else of all. The terms share no memory with y.
    static func sum(_ terms: [Tensor], accumulate: Bool, into y: Tensor, _ part: Part? = nil) {
        let part = part ?? Part(columns: y.count, stride: y.count)
        let type = terms[0].dtype
        require(
            terms.allSatisfy { $0.count == part.rows * part.columns && $0.dtype == type },
            "sum: terms \(terms.map(\.shape)) of \(terms.map(\.dtype)) for \(part.rows) x \(part.columns) elements")
        let status = withMemory(of: terms, y) {
            csimd_sum_arrays(
                type.csimd, terms.count, $0, part.rows, part.columns, accumulate, y.dtype.csimd,
                $1 + part.offset * y.dtype.byteCount, part.stride)
        }
        expectSuccess(status, "sum")
    }

    /// The gradients of silu(gate) x that are asked for, by their formula, each rounded once; operands contiguous.
    static func siluMultiplyGradient(
        gate: Tensor, _ x: Tensor, dy: Tensor, forGate: Bool, forX: Bool
    ) -> (gate: Tensor?, x: Tensor?) {
        let gateGradient = forGate ? Tensor(uninitialized: x.shape, x.dtype) : nil
        let xGradient = forX ? Tensor(uninitialized: x.shape, x.dtype) : nil
        let status = withMemory(of: gate, x, dy) { gate, factor, dy in
            withMemory(of: gateGradient, xGradient) {
                csimd_silu_multiply_gradient(x.dtype.csimd, x.count, gate, factor, dy, $0, $1)
            }
        }
        expectSuccess(status, "siluMultiplyGradient")
        return (gateGradient, xGradient)
    }

    static func broadcastFailure(_ operation: Any, _ a: Tensor, _ b: Tensor) -> Never {
        stop(
            "\(operation): shapes \(a.shape) and \(b.shape) do not broadcast: sizes must be equal or 1, counted from the last axis"
        )
    }
}

/// How two broadcast operands are walked: [outer…, rows, columns], adjacent axes merged wherever both operands allow it.
private struct BroadcastPlan {
    var a: Tensor, b: Tensor
    var outer: [Int] = [], outerA: [Int] = [], outerB: [Int] = []
    var rows = 1, rowA = 0, rowB = 0
    var columns = 1, columnA = 0, columnB = 0

    init(_ a: Tensor, _ b: Tensor, shape: [Int]) {
        self.a = a
        self.b = b
        if a.shape == shape && b.shape == shape && a.isContiguous && b.isContiguous {
            columns = Shapes.count(shape)
            columnA = 1
            columnB = 1
            return
        }
        // The kernel steps by 0 or 1 along a row: an operand that steps otherwise is copied first.
        func unitStep(_ x: Tensor) -> Tensor {
            guard let last = x.shape.indices.last, x.shape[last] != 1, x.strides[last] > 1 else { return x }
            return x.contiguous()
        }
        self.a = unitStep(a)
        self.b = unitStep(b)
        let stridesA = self.a.broadcast(to: shape).strides
        let stridesB = self.b.broadcast(to: shape).strides
        var merged: [(size: Int, a: Int, b: Int)] = []
        for axis in shape.indices where shape[axis] != 1 {
            if let last = merged.last, last.a == stridesA[axis] * shape[axis], last.b == stridesB[axis] * shape[axis] {
                merged[merged.count - 1] = (last.size * shape[axis], stridesA[axis], stridesB[axis])
            } else {
                merged.append((shape[axis], stridesA[axis], stridesB[axis]))
            }
        }
        if let last = merged.last, last.a <= 1, last.b <= 1 {
            (columns, columnA, columnB) = last
            merged.removeLast()
        }
        if let last = merged.popLast() { (rows, rowA, rowB) = last }
        outer = merged.map(\.size)
        outerA = merged.map(\.a)
        outerB = merged.map(\.b)
    }
}

import CSIMD
import Testing

/// A convolution with operands beside inaccessible pages, and its three results by their formulas in Double.
private final class ConvProblem {
    let shape: csimd_conv_shape
    let height: Int, width: Int
    let arena = BufferArena()
    let x: TypedBuffer, weight: TypedBuffer, bias: TypedBuffer, dy: TypedBuffer

    init(_ shape: csimd_conv_shape, _ type: csimd_type, _ weightType: csimd_type, seed: UInt64) {
        var s = shape
        self.shape = shape
        height = csimd_conv_output_height(&s)
        width = csimd_conv_output_width(&s)
        var random = TestRandom(seed)
        func values(_ count: Int) -> [Double] { (0..<count).map { _ in random.normal() } }
        x = arena.make(type, values(shape.batch * shape.height * shape.width * shape.channels))
        weight = arena.make(
            weightType,
            values(shape.output_channels * shape.channels / shape.groups * shape.kernel_height * shape.kernel_width))
        bias = arena.make(type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32, values(shape.output_channels))
        dy = arena.make(type, values(shape.batch * height * width * shape.output_channels))
    }

    /// Calls body with the indices of every product: in y, in x, in the weight.
    private func eachProduct(_ body: (_ y: Int, _ x: Int, _ weight: Int) -> Void) {
        let channels = shape.channels / shape.groups, outputs = shape.output_channels / shape.groups
        for b in 0..<shape.batch {
            for i in 0..<height {
                for j in 0..<width {
                    for u in 0..<shape.kernel_height {
                        for v in 0..<shape.kernel_width {
                            let row = i * shape.stride_height + u * shape.dilation_height - shape.padding_height
                            let column = j * shape.stride_width + v * shape.dilation_width - shape.padding_width
                            guard (0..<shape.height).contains(row), (0..<shape.width).contains(column) else { continue }
                            for o in 0..<shape.output_channels {
                                for c in 0..<channels {
                                    body(
                                        ((b * height + i) * width + j) * shape.output_channels + o,
                                        ((b * shape.height + row) * shape.width + column) * shape.channels
                                            + o / outputs * channels + c,
                                        ((o * channels + c) * shape.kernel_height + u) * shape.kernel_width + v)
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Each result, and the sum of its terms' magnitudes.
    lazy var expected: (y: [(Double, Double)], dx: [(Double, Double)], dw: [(Double, Double)]) = {
        let (x, w, dy, bias) = (x.values, weight.values, dy.values, bias.values)
        var y = (0..<dy.count).map { (bias[$0 % bias.count], abs(bias[$0 % bias.count])) }
        var dx = [(Double, Double)](repeating: (0, 0), count: x.count)
        var dw = [(Double, Double)](repeating: (0, 0), count: w.count)
        func add(_ term: Double, _ sum: inout (Double, Double)) { sum = (sum.0 + term, sum.1 + abs(term)) }
        eachProduct { a, b, c in
            add(x[b] * w[c], &y[a])
            add(dy[a] * w[c], &dx[b])
            add(dy[a] * x[b], &dw[c])
        }
        return (y, dx, dw)
    }()

    func arguments(_ x: TypedBuffer, _ y: TypedBuffer) -> csimd_conv_args {
        var arguments = csimd_conv_args()
        arguments.shape = shape
        (arguments.x_type, arguments.weight_type, arguments.y_type) = (x.type, weight.type, y.type)
        (arguments.x, arguments.weight, arguments.y) = (
            UnsafeRawPointer(x.pointer), UnsafeRawPointer(weight.pointer), y.pointer
        )
        return arguments
    }

    func forward(_ type: csimd_type, relu: Bool) -> TypedBuffer {
        let y = arena.make(type, count: dy.count)
        var arguments = arguments(x, y)
        (arguments.bias, arguments.bias_type) = (UnsafeRawPointer(bias.pointer), bias.type)
        arguments.epilogue = relu ? CSIMD_EPILOGUE_RELU : CSIMD_EPILOGUE_NONE
        #expect(csimd_conv(&arguments) == CSIMD_OK)
        return y
    }

    func inputGradient(_ type: csimd_type) -> TypedBuffer {
        let dx = arena.make(type, count: x.count)
        var arguments = arguments(dy, dx)
        #expect(csimd_conv_input_gradient(&arguments) == CSIMD_OK)
        return dx
    }

    func weightGradient(accumulateTo start: Double? = nil) -> TypedBuffer {
        let dw = arena.make(weight.type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32, count: weight.count)
        if let start { for index in 0..<dw.count { dw[index] = start } }
        var s = shape
        let status = csimd_conv_weight_gradient(
            &s, dy.type, dy.pointer, x.type, x.pointer, start != nil, dw.type, dw.pointer)
        #expect(status == CSIMD_OK)
        return dw
    }
}

private func shape(
    _ batch: Int, _ size: (Int, Int), _ channels: (Int, Int), kernel: (Int, Int) = (3, 3), stride: (Int, Int) = (1, 1),
    padding: (Int, Int) = (0, 0), dilation: (Int, Int) = (1, 1), groups: Int = 1
) -> csimd_conv_shape {
    csimd_conv_shape(
        batch: batch, height: size.0, width: size.1, channels: channels.0, output_channels: channels.1,
        kernel_height: kernel.0, kernel_width: kernel.1, stride_height: stride.0, stride_width: stride.1,
        padding_height: padding.0, padding_width: padding.1, dilation_height: dilation.0, dilation_width: dilation.1,
        groups: groups)
}

@Suite struct ConvTests {
    /// Edges, odd lengths of runs, a stride beyond the kernel, groups, more than one block of k, bands of a large image, images
    /// put together, more columns than a panel and fewer than half of one.
    private static let shapes = [
        shape(2, (7, 9), (3, 5), padding: (1, 1)), shape(1, (5, 5), (1, 32), padding: (1, 1)),
        shape(3, (8, 6), (32, 33)), shape(2, (9, 8), (4, 6), stride: (2, 3), padding: (1, 0)),
        shape(1, (11, 10), (3, 4), kernel: (2, 1), stride: (3, 2)),
        shape(2, (9, 9), (5, 4), padding: (2, 2), dilation: (2, 3)),
        shape(2, (6, 7), (6, 9), padding: (1, 1), groups: 3), shape(1, (6, 6), (4, 4), padding: (1, 1), groups: 4),
        shape(1, (4, 5), (150, 17), padding: (1, 1)), shape(1, (75, 61), (2, 3), padding: (1, 1)),
        shape(17, (3, 3), (8, 16), kernel: (1, 1)), shape(2, (1, 20), (7, 8), kernel: (1, 5), padding: (0, 2)),
        shape(1, (3, 3), (2, 2), kernel: (3, 3), padding: (2, 2)), shape(9, (14, 14), (16, 40), padding: (1, 1)),
    ]

    /// A sum of n products in float32, in any order, is off by at most n u of the sum of their magnitudes, u = 2⁻²⁴; the result
    /// is rounded once. The bf16 instruction adds two products at a time, each sum rounded: no more than n roundings either.
    private func check(
        _ name: String, _ result: TypedBuffer, _ expected: [(Double, Double)], terms: Int, relu: Bool = false
    ) {
        let unit = arithmeticRoundoff(result.type)
        for (index, (sum, magnitude)) in expected.enumerated() {
            let value = relu ? max(0, sum) : sum
            // Float64's reference sums are rounded too.
            let bound =
                Double(2 * terms + 4) * unit * magnitude + storageRounding(result.type, abs(value) * 1.001) + 1e-40
            if !(abs(result[index] - value) <= bound) {
                Issue.record("\(name) at \(index): \(result[index]), expected \(value) within \(bound)")
                return
            }
        }
    }

    @Test func resultsAreThoseOfTheFormulas() {
        for (number, shape) in Self.shapes.enumerated() {
            let others = [CSIMD_F16, CSIMD_F32, CSIMD_BF16, CSIMD_F64]
            for (turn, type) in TypedBuffer.allTypes.enumerated() {
                // Mixed types now and then; never with float64.
                let mixed = type != CSIMD_F64 && others[turn] != CSIMD_F64 && number % 4 == 1
                let problem = ConvProblem(shape, type, mixed ? others[turn] : type, seed: UInt64(number))
                defer { problem.arena.release() }
                let area = shape.kernel_height * shape.kernel_width
                forEachGemm { row in
                    let name = "shape \(number), type \(type.rawValue), \(row)"
                    let relu = number % 2 == 0
                    let y = problem.forward(type, relu: relu)
                    check("y, " + name, y, problem.expected.y, terms: area * shape.channels + 1, relu: relu)
                    let dx = problem.inputGradient(type)
                    check("dx, " + name, dx, problem.expected.dx, terms: area * shape.output_channels)
                    let dw = problem.weightGradient()
                    let windows = shape.batch * problem.height * problem.width
                    check("dw, " + name, dw, problem.expected.dw, terms: windows)
                    let more = problem.weightGradient(accumulateTo: 4)
                    check("dw + 4, " + name, more, problem.expected.dw.map { ($0.0 + 4, $0.1 + 4) }, terms: windows + 1)
                    let bits = withThreads(3) {
                        (problem.forward(type, relu: relu), problem.inputGradient(type), problem.weightGradient())
                    }
                    let alone = withThreads(1) {
                        (problem.forward(type, relu: relu), problem.inputGradient(type), problem.weightGradient())
                    }
                    #expect(bits.0.hasSameBits(as: alone.0) && bits.1.hasSameBits(as: alone.1), "\(name): threads")
                    #expect(bits.2.hasSameBits(as: alone.2), "\(name): threads, dw")
                }
            }
        }
    }

    /// The derivative of an activation that x was the result of, and the transposed convolution's bias, in the last pass; GELU
    /// keeps what it was applied to.
    @Test func epiloguesAreAppliedToTheSums() {
        let problem = ConvProblem(
            shape(2, (5, 6), (4, 6), stride: (2, 1), padding: (1, 1)), CSIMD_F32, CSIMD_F32, seed: 5)
        defer { problem.arena.release() }
        forEachRow { row in
            let plain = problem.inputGradient(CSIMD_F32)
            let dx = problem.arena.make(CSIMD_F32, count: problem.x.count)
            var arguments = problem.arguments(problem.dy, dx)
            let bias = problem.arena.make(CSIMD_F32, [1, 2, 3, 4])
            (arguments.bias, arguments.bias_type) = (UnsafeRawPointer(bias.pointer), CSIMD_F32)
            (arguments.aux, arguments.aux_type) = (problem.x.pointer, CSIMD_F32)
            arguments.epilogue = CSIMD_EPILOGUE_RELU_GRADIENT
            #expect(csimd_conv_input_gradient(&arguments) == CSIMD_OK)
            for index in 0..<dx.count {
                let expected = problem.x[index] > 0 ? plain[index] + Double(index % 4 + 1) : 0
                #expect(abs(dx[index] - expected) <= 1e-6 * (abs(expected) + 4), "\(row), \(index)")
            }
            let sums = problem.forward(CSIMD_F32, relu: false)
            let y = problem.arena.make(CSIMD_F32, count: sums.count),
                kept = problem.arena.make(CSIMD_F32, count: sums.count)
            var forward = problem.arguments(problem.x, y)
            (forward.bias, forward.bias_type) = (UnsafeRawPointer(problem.bias.pointer), CSIMD_F32)
            (forward.aux, forward.aux_type, forward.epilogue) = (kept.pointer, CSIMD_F32, CSIMD_EPILOGUE_GELU)
            #expect(csimd_conv(&forward) == CSIMD_OK)
            #expect(kept.hasSameBits(as: sums), "\(row)")
        }
    }

    /// Subnormal bf16 elements count, though the native instruction drops them.
    @Test func subnormalElementsCount() {
        let problem = ConvProblem(shape(1, (4, 4), (2, 32), padding: (1, 1)), CSIMD_BF16, CSIMD_BF16, seed: 6)
        defer { problem.arena.release() }
        for index in 0..<problem.x.count { problem.x[index] = 0x1p-130 }
        for index in 0..<problem.weight.count { problem.weight[index] = 0x1p20 }
        for index in 0..<problem.bias.count { problem.bias[index] = 0 }
        for index in 0..<problem.dy.count { problem.dy[index] = 0x1p20 }
        forEachGemm { row in
            #expect(problem.forward(CSIMD_F32, relu: false)[5 * 32] == 18 * 0x1p-110, "\(row)")
            #expect(problem.weightGradient()[4] == 16 * 0x1p-110, "\(row)")
        }
    }

    @Test func wrongShapesAreRefused() {
        let right = shape(1, (4, 4), (2, 4))
        let problem = ConvProblem(right, CSIMD_F32, CSIMD_F32, seed: 7)
        defer { problem.arena.release() }
        let wrong: [(inout csimd_conv_shape) -> Void] = [
            { $0.kernel_height = 0 }, { $0.stride_width = 0 }, { $0.dilation_height = 0 }, { $0.groups = 0 },
            { $0.groups = 3 },
            { $0.kernel_width = 5 }, { $0.dilation_width = 2 }, { $0.dilation_height = Int.max },
            { $0.padding_width = Int.max },
        ]
        forEachRow { row in
            for (number, change) in wrong.enumerated() {
                let y = problem.arena.make(CSIMD_F32, count: 16)
                var arguments = problem.arguments(problem.x, y)
                change(&arguments.shape)
                #expect(csimd_conv(&arguments) == CSIMD_INVALID_ARGUMENT, "\(row), \(number)")
                #expect(csimd_conv_input_gradient(&arguments) == CSIMD_INVALID_ARGUMENT, "\(row), \(number)")
                let status = csimd_conv_weight_gradient(
                    &arguments.shape, CSIMD_F32, problem.dy.pointer, CSIMD_F32, problem.x.pointer, false, CSIMD_F32,
                    y.pointer)
                #expect(status == CSIMD_INVALID_ARGUMENT, "\(row), \(number)")
                #expect(y.bytes.allSatisfy { $0 == 0xA5 })
            }
        }
    }

    @Test func transposesTurnMatricesRound() {
        var random = TestRandom(8)
        for (size, rows, columns) in [(1, 3, 5), (2, 33, 70), (4, 32, 32), (8, 1, 9), (2, 64, 31), (4, 100, 3)] {
            let arena = BufferArena()
            defer { arena.release() }
            let ld = rows + 2, count = 2 * columns * ld - 2
            let type = size == 8 ? CSIMD_F64 : size == 4 ? CSIMD_F32 : CSIMD_F16
            let bytes = size == 1 ? (count + 1) / 2 : count
            let x = arena.make(type, count: bytes),
                y = arena.make(type, count: size == 1 ? rows * columns : 2 * rows * columns)
            let from = x.pointer.assumingMemoryBound(to: UInt8.self), to = y.pointer.assumingMemoryBound(to: UInt8.self)
            for index in 0..<count * size { from[index] = UInt8(truncatingIfNeeded: random.bits()) }
            #expect(csimd_transpose(size, 2, rows, columns, x.pointer, columns * ld, ld, y.pointer) == CSIMD_OK)
            for b in 0..<2 {
                for i in 0..<rows {
                    for j in 0..<columns {
                        for part in 0..<size {
                            let source = from[(b * columns * ld + j * ld + i) * size + part]
                            #expect(to[((b * rows + i) * columns + j) * size + part] == source)
                        }
                    }
                }
            }
        }
    }
}

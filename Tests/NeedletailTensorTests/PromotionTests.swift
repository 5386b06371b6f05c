// Types and values where operands of different types meet: as in PyTorch, by the fixture that Fixtures/promotion.py writes.
import Foundation
import NeedletailTensor
import Testing

/// An operand or a result of the fixture.
private enum Operand: Equatable {
    case tensor(Tensor)
    case integer(Int)
    case number(Double)

    init(_ text: Substring) {
        let parts = text.split(separator: ":")
        guard parts.count == 2 else {
            self = Int(text).map { .integer($0) } ?? .number(Double(text) ?? .nan)
            return
        }
        let isZeroDimensional = parts[0].hasSuffix("()")
        let dtype = DType(rawValue: String(isZeroDimensional ? parts[0].dropLast(2) : parts[0])) ?? .float32
        let items = parts[1].split(separator: ",")
        let shape = isZeroDimensional ? [] : [items.count]
        self = .tensor(
            dtype.isFloatingPoint
                ? Tensor(items.map { Double($0) ?? .nan }, shape: shape).cast(to: dtype)
                : Tensor(items.map { Int64($0) ?? .min }, shape: shape).cast(to: dtype))
    }

    static func == (a: Operand, b: Operand) -> Bool {
        guard case .tensor(let x) = a, case .tensor(let y) = b else { return false }
        guard x.dtype == y.dtype && x.shape == y.shape else { return false }
        if x.bytes == y.bytes { return true }
        let pairs = zip(x.scalars(as: Double.self), y.scalars(as: Double.self))
        return x.dtype.isFloatingPoint && pairs.allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) }
    }
}

private func apply(_ name: Substring, _ a: Tensor, _ b: Tensor) -> Tensor {
    switch name {
    case "+": a + b
    case "-": a - b
    case "*": a * b
    case "/": a / b
    case ".==": a .== b
    case ".!=": a .!= b
    case ".<": a .< b
    case ".<=": a .<= b
    case ".>": a .> b
    case ".>=": a .>= b
    case "maximum": Tensor.maximum(a, b)
    case "minimum": Tensor.minimum(a, b)
    default: Tensor.where(Tensor([true, false, true]), a, b)
    }
}

private func apply(_ name: Substring, _ a: Tensor, _ b: Double) -> Tensor {
    switch name {
    case "+": a + b
    case "-": a - b
    case "*": a * b
    case "/": a / b
    case ".==": a .== b
    case ".!=": a .!= b
    case ".<": a .< b
    case ".<=": a .<= b
    case ".>": a .> b
    default: a .>= b
    }
}

private func apply(_ name: Substring, _ a: Tensor, _ b: Int) -> Tensor {
    switch name {
    case "+": a + b
    case "-": a - b
    case "*": a * b
    case "/": a / b
    case ".==": a .== b
    case ".!=": a .!= b
    case ".<": a .< b
    case ".<=": a .<= b
    case ".>": a .> b
    default: a .>= b
    }
}

private func apply(_ name: Substring, _ a: Double, _ b: Tensor) -> Tensor {
    switch name {
    case "+": a + b
    case "-": a - b
    case "*": a * b
    default: a / b
    }
}

private func apply(_ name: Substring, _ a: Int, _ b: Tensor) -> Tensor {
    switch name {
    case "+": a + b
    case "-": a - b
    case "*": a * b
    default: a / b
    }
}

@Suite struct PromotionTests {
    @Test func everyOperatorOnEveryPairOfTypesIsAsInPyTorch() throws {
        let url = try #require(
            Bundle.module.url(forResource: "promotion", withExtension: "txt", subdirectory: "Fixtures"))
        let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 4096)
        for line in lines {
            let parts = line.split(separator: " ")
            if parts[3] == "error" { continue }
            let found: Tensor
            switch (Operand(parts[1]), Operand(parts[2])) {
            case (.tensor(let a), .tensor(let b)): found = apply(parts[0], a, b)
            case (.tensor(let a), .number(let b)): found = apply(parts[0], a, b)
            case (.tensor(let a), .integer(let b)): found = apply(parts[0], a, b)
            case (.number(let a), .tensor(let b)): found = apply(parts[0], a, b)
            case (.integer(let a), .tensor(let b)): found = apply(parts[0], a, b)
            default: preconditionFailure("\(line)")
            }
            #expect(Operand(parts[3]) == .tensor(found), "\(line): found \(found)")
        }
    }

    @Test(arguments: boolDifferences.indices) func theDifferenceOfBoolsIsAnError(_ index: Int) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [index] in
            boolDifferences[index]()
        }
        expectMessage(result, "subtract: an operand is bool")
    }

    /// Every operator of a 16-bit tensor and a number: the number in float32, one float32 operation, one rounding to 16 bits.
    @Test(arguments: [DType.float16, .bfloat16]) func numbersEnterInFloat32(_ dtype: DType) {
        let x = Tensor(
            bytes: (0..<UInt16.max).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }, shape: [65535], dtype: dtype)
        let wide: [Float] = x.scalars()
        for s in [70000, 1e-9, 0.1, -3.3e38, 1 + 0x1p-20, 0, -0.0, .leastNonzeroMagnitude] {
            let t = Float(s)
            let cases: [(String, Tensor, (Float) -> Float)] = [
                ("x + s", x + s, { $0 + t }), ("s + x", s + x, { t + $0 }), ("x - s", x - s, { $0 - t }),
                ("s - x", s - x, { t - $0 }), ("x * s", x * s, { $0 * t }), ("s * x", s * x, { t * $0 }),
                ("x / s", x / s, { $0 / t }), ("s / x", s / x, { t / $0 }),
            ]
            for (name, found, formula) in cases {
                let expected = Tensor(wide.map(formula)).cast(to: dtype)
                let (a, b): ([UInt8], [UInt8]) = (found.bytes, expected.bytes)
                let values: [Float] = expected.scalars()
                let bad = values.indices.first {
                    !values[$0].isNaN && (a[2 * $0], a[2 * $0 + 1]) != (b[2 * $0], b[2 * $0 + 1])
                }
                #expect(bad == nil, "\(dtype) \(name), s = \(s): x = \(bad.map { wide[$0] } ?? 0)")
                let isNaN = zip(found.scalars(as: Float.self), values).allSatisfy { $0.isNaN == $1.isNaN }
                #expect(isNaN, "\(dtype) \(name), s = \(s)")
            }
        }
    }

    @Test(arguments: floatingTypes) func productsWithNumbersKeepTheSignOfZero(_ dtype: DType) {
        let zeros = Tensor([0.0, -0.0]).cast(to: dtype)
        func signs(_ x: Tensor) -> [FloatingPointSign] { x.scalars(as: Double.self).map(\.sign) }
        #expect(signs(zeros * 2.0) == [.plus, .minus])
        #expect(signs(zeros * 2) == [.plus, .minus])
        #expect(signs(-1.5 * zeros) == [.minus, .plus])
        #expect(signs(zeros / -2.0) == [.minus, .plus])
        #expect(signs(zeros - 0.0) == [.plus, .minus])
        #expect(signs(zeros + 0.0) == [.plus, .plus])
    }

    /// Elements at, just below and just above a number, in every type, and the six comparisons of Double or Int64.
    @Test(arguments: DType.allCases) func comparisonsWithNumbersAreExact(_ dtype: DType) {
        let numbers: [Double] = [
            0, -0.0, 0.1, -0.1, 1, 1.5, 2.5, 254.5, 255, 256, 65504, 65519.999, 1e300, -1e300, .infinity, -.infinity,
            .nan,
            .leastNonzeroMagnitude, 0x1p53, 0x1p63, -0x1p63, 2147483647.5, 3.4028235677973366e38,
        ]
        let elements = numbers.flatMap { [$0.nextDown, $0, $0.nextUp, $0 - 1, $0 + 1] }
        let x = Tensor(elements).cast(to: dtype)
        let wide: [Double] = x.scalars(), whole: [Int64] = x.scalars()
        func check(_ found: Tensor, _ expected: [Bool], _ what: String) {
            #expect(found.dtype == .bool)
            let values: [Bool] = found.scalars()
            let bad = values.indices.first { values[$0] != expected[$0] }
            #expect(bad == nil, "\(dtype) \(bad.map { wide[$0] } ?? 0) \(what)")
        }
        // Int64 elements beyond 2^53 are no Doubles: the fraction of the number decides there.
        func compare(_ i: Int, _ s: Double, _ test: (Double, Double) -> Bool) -> Bool {
            guard dtype == .int64, !s.isNaN else { return test(wide[i], s) }
            guard s < 0x1p63, s >= -0x1p63 else { return test(0, s) }
            let below = Int64(s.rounded(.down))
            return test(whole[i] < below ? -1 : whole[i] > below ? 1 : Double(below) - s, 0)
        }
        for s in numbers {
            check(x .== s, wide.indices.map { compare($0, s, ==) }, ".== \(s)")
            check(x .!= s, wide.indices.map { compare($0, s, !=) }, ".!= \(s)")
            check(x .< s, wide.indices.map { compare($0, s, <) }, ".< \(s)")
            check(x .<= s, wide.indices.map { compare($0, s, <=) }, ".<= \(s)")
            check(x .> s, wide.indices.map { compare($0, s, >) }, ".> \(s)")
            check(x .>= s, wide.indices.map { compare($0, s, >=) }, ".>= \(s)")
        }
    }

    @Test func integersBeyondTheDoublesAreComparedAndPrintedExactly() {
        let large = Int64(1) << 53
        let x = Tensor([large, large + 1, .max, .min])
        #expect((x .== Int(large) + 1).scalars(as: Bool.self) == [false, true, false, false])
        #expect((x .< Int.max).scalars(as: Bool.self) == [true, true, false, true])
        #expect((x .== Tensor([large + 1])).scalars(as: Bool.self) == [false, true, false, false])
        #expect(Tensor([large + 1, large]).argmax().item() == 0)
        #expect(x.max().item(as: Int64.self) == .max)
        #expect("\(x)" == "Tensor(int64, shape: [4], [\(large), \(large + 1), \(Int64.max), \(Int64.min)])")
        // Numbers that no Double is, beside float64 elements: the neighbours on both sides.
        let doubles = Tensor([0x1p53, 0x1p53 + 2])
        #expect((doubles .< Int(large) + 1).scalars(as: Bool.self) == [true, false])
        #expect((doubles .== Int(large) + 1).scalars(as: Bool.self) == [false, false])
        #expect((Tensor([0x1p63]) .> Int.max).scalars(as: Bool.self) == [true])
    }

    @Test func statisticsOfIntegersAreFloat32() {
        let x = Tensor([1, 2, 3, 5] as [Int64])
        #expect(x.variance().dtype == .float32)
        #expect(x.variance().item(as: Float.self) == Float(35.0 / 12))
        #expect(x.mean().item(as: Float.self) == 2.75)
        #expect(Tensor([true, false, true, true]).mean().item() == 0.75)
        #expect(Tensor([200, 100] as [UInt8]).variance(correction: 0).item() == 2500)
    }

    @Test func literalsOfIntegersAreFloat32() {
        #expect(Tensor([1, 2, 3]).dtype == .float32)
        #expect(Tensor([1, 2, 3, 4], shape: [2, 2]).dtype == .float32)
    }

    @Test func oneHotOfNoClassIsAnError() async {
        let above = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([2, 3] as [Int64]).oneHot(classes: 3)
        }
        expectMessage(above, "oneHot: element 1 is 3, expected a class in 0..<3")
        let ignored = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor([-100] as [Int32]).oneHot(classes: 3)
        }
        expectMessage(ignored, "oneHot: element 0 is -100, expected a class in 0..<3")
        #expect(Tensor([] as [Int64]).oneHot(classes: 3).shape == [0, 3])
    }
}

private let boolDifferences: [@Sendable () -> Void] = [
    { _ = Tensor([true]) - Tensor([true]) },
    { _ = Tensor([true]) - Tensor([1] as [Int64]) },
    { _ = Tensor([1.5] as [Float]) - Tensor([true]) },
    { _ = 1 - Tensor([true]) },
    { _ = 1.5 - Tensor([true]) },
    { _ = Tensor([true]) - 1 },
    { _ = Tensor([true]) - 1.5 },
    { _ = -Tensor([true]) },
]

// Elementwise comparison with a message that names the place.
import NeedletailTensor
import Testing

/// Unit roundoff of a type: half the distance from 1 to the next value.
func unitRoundoff(_ dtype: DType) -> Double {
    switch dtype {
    case .float64: 0x1p-53
    case .float32: 0x1p-24
    case .float16: 0x1p-11
    case .bfloat16: 0x1p-8
    case .int32, .int64, .uint8, .bool: 0
    }
}

/// Every element within `roundings` roundings of the type: |found - expected| ≤ roundings · u · |expected| + floor.
/// The floor covers results near zero: half the smallest subnormal of the type.
func expectClose(
    _ found: Tensor, _ expected: [Double], roundings: Double = 1, scale: [Double]? = nil, _ what: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let values: [Double] = found.scalars()
    #expect(values.count == expected.count, "\(what): \(values.count) elements", sourceLocation: sourceLocation)
    let floor = found.dtype == .float16 ? 0x1p-25 : found.dtype == .float64 ? 0 : 0x1p-134
    for index in 0..<min(values.count, expected.count) {
        let magnitude = scale?[index] ?? abs(expected[index])
        let tolerance = roundings * (unitRoundoff(found.dtype) * magnitude + floor)
        let isClose =
            values[index] == expected[index] || (values[index].isNaN && expected[index].isNaN)
            || abs(values[index] - expected[index]) <= tolerance
        #expect(
            isClose,
            "\(what) \(found.dtype) \(found.shape)[\(index)]: found \(values[index]), expected \(expected[index])",
            sourceLocation: sourceLocation)
    }
}

/// The four floating-point types.
let floatingTypes: [DType] = [.float64, .float32, .float16, .bfloat16]

/// Values that every floating-point type holds exactly: multiples of 1/8 in [-4, 4).
func exactValues(_ shape: [Int], seed: UInt64 = 1, dtype: DType = .float64) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    let values = (0..<shape.reduce(1, *)).map { _ in Double(Int.random(in: -32..<32, using: &generator)) / 8 }
    return Tensor(values, shape: shape).cast(to: dtype)
}

/// That a process which was to stop wrote `message` to its standard error.
func expectMessage(
    _ result: ExitTest.Result?, _ message: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains(message), "found: \(text.suffix(400))", sourceLocation: sourceLocation)
}

/// Runs `body` with `count` threads, then goes back to the default.
func withThreads<Result>(_ count: Int, _ body: () throws -> Result) rethrows -> Result {
    setThreadCount(count)
    defer { setThreadCount(0) }
    return try body()
}

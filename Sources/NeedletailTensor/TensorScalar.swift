/// A Swift type that tensors can hold: one for each ``DType``.
public protocol TensorScalar: Sendable {
    /// The tensor element type that stores this Swift type.
    static var dtype: DType { get }
    /// The nearest value of this type: floating-point types round to nearest even, integers truncate and saturate
    /// (NaN becomes 0), `Bool` is whether the value is not zero.
    init(nearest value: Double)
    /// The nearest value of this type, rounded once; integers keep the low bits, `Bool` is whether the value is not zero.
    init(nearest value: Int64)
    /// This value in float64, exact for every type but `Int64`.
    var float64Value: Double { get }
    /// This value as an integer: floating-point values truncate and saturate, NaN becomes 0.
    var int64Value: Int64 { get }
}

extension TensorScalar where Self: BinaryFloatingPoint {
    /// To nearest even.
    public init(nearest value: Double) { self = Self(value) }
    /// To nearest even.
    public init(nearest value: Int64) { self = Self(value) }
    /// Exact.
    public var float64Value: Double { Double(self) }
    /// Truncated and saturated; NaN becomes 0.
    public var int64Value: Int64 { Int64(nearest: Double(self)) }
}

extension TensorScalar where Self: FixedWidthInteger {
    /// Truncated and saturated; NaN becomes 0.
    public init(nearest value: Double) {
        if value.isNaN {
            self = 0
        } else if let exact = Self(exactly: value.rounded(.towardZero)) {
            self = exact
        } else {
            self = value < 0 ? .min : .max
        }
    }
    /// The low bits.
    public init(nearest value: Int64) { self = Self(truncatingIfNeeded: value) }
    /// To nearest even.
    public var float64Value: Double { Double(self) }
    /// The low bits.
    public var int64Value: Int64 { Int64(truncatingIfNeeded: self) }
}

extension Double: TensorScalar {
    /// float64.
    public static var dtype: DType { .float64 }
}

extension Float: TensorScalar {
    /// float32.
    public static var dtype: DType { .float32 }
}

extension Float16: TensorScalar {
    /// float16.
    public static var dtype: DType { .float16 }
}

extension BFloat16: TensorScalar {
    /// bfloat16.
    public static var dtype: DType { .bfloat16 }
}

extension Int32: TensorScalar {
    /// int32.
    public static var dtype: DType { .int32 }
}

extension Int64: TensorScalar {
    /// int64.
    public static var dtype: DType { .int64 }
}

extension UInt8: TensorScalar {
    /// uint8.
    public static var dtype: DType { .uint8 }
}

extension Bool: TensorScalar {
    /// bool, one byte holding 0 or 1.
    public static var dtype: DType { .bool }
    /// Whether the value is not zero.
    public init(nearest value: Double) { self = value != 0 }
    /// Whether the value is not zero.
    public init(nearest value: Int64) { self = value != 0 }
    /// 1 for true, 0 for false.
    public var float64Value: Double { self ? 1 : 0 }
    /// 1 for true, 0 for false.
    public var int64Value: Int64 { self ? 1 : 0 }
}

/// Work that is written once for every element type: ``DType/accept(_:)`` calls it with the Swift type of a dtype, and the
/// compiler specialises it for each.
protocol ScalarVisitor {
    associatedtype Result
    func visit<T: TensorScalar>(_ type: T.Type) -> Result
}

extension DType {
    @inline(__always)
    func accept<V: ScalarVisitor>(_ visitor: V) -> V.Result {
        switch self {
        case .float64: visitor.visit(Double.self)
        case .float32: visitor.visit(Float.self)
        case .float16: visitor.visit(Float16.self)
        case .bfloat16: visitor.visit(BFloat16.self)
        case .int32: visitor.visit(Int32.self)
        case .int64: visitor.visit(Int64.self)
        case .uint8: visitor.visit(UInt8.self)
        case .bool: visitor.visit(Bool.self)
        }
    }
}

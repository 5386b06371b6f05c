/// The element type of a tensor.
public enum DType: String, Sendable, CaseIterable, Codable, CustomStringConvertible {
    case float64, float32, float16, bfloat16, int32, int64, uint8, bool

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .float64, .int64: 8
        case .float32, .int32: 4
        case .float16, .bfloat16: 2
        case .uint8, .bool: 1
        }
    }

    /// Whether the type is one of the four floating-point types: only these carry gradients.
    public var isFloatingPoint: Bool {
        switch self {
        case .float64, .float32, .float16, .bfloat16: true
        case .int32, .int64, .uint8, .bool: false
        }
    }

    /// Whether the type is float16 or bfloat16.
    public var is16Bit: Bool { self == .float16 || self == .bfloat16 }

    /// The type in which arithmetic, reductions and losses of this type are done: float64 for itself, else float32.
    public var accumulationType: DType { self == .float64 ? .float64 : .float32 }

    /// The type's name: the case's own.
    public var description: String { rawValue }
}

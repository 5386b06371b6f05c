// Elements of a CSIMD type beside inaccessible pages, read and written as Double: the operands of kernel tests over all types.
import CSIMD
import Glibc

/// `count` elements of `type`, made by a `BufferArena`, which gives the memory back.
struct TypedBuffer {
    let type: csimd_type
    let count: Int
    let pointer: UnsafeMutableRawPointer

    var byteCount: Int { count * TypedBuffer.size(of: type) }

    var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: pointer, count: byteCount)) }

    var values: [Double] { (0..<count).map { self[$0] } }

    func hasSameBits(as other: TypedBuffer) -> Bool {
        byteCount == other.byteCount && memcmp(pointer, other.pointer, byteCount) == 0
    }

    /// The element widened to Double; on writing, rounded through Float to the type.
    subscript(index: Int) -> Double {
        get {
            precondition(index >= 0 && index < count)
            switch type {
            case CSIMD_F64: return pointer.load(fromByteOffset: index * 8, as: Double.self)
            case CSIMD_F32: return Double(pointer.load(fromByteOffset: index * 4, as: Float.self))
            case CSIMD_F16: return Double(pointer.load(fromByteOffset: index * 2, as: Float16.self))
            default:
                let bits = UInt32(pointer.load(fromByteOffset: index * 2, as: UInt16.self)) << 16
                return Double(Float(bitPattern: bits))
            }
        }
        nonmutating set {
            precondition(index >= 0 && index < count)
            switch type {
            case CSIMD_F64: pointer.storeBytes(of: newValue, toByteOffset: index * 8, as: Double.self)
            case CSIMD_F32: pointer.storeBytes(of: Float(newValue), toByteOffset: index * 4, as: Float.self)
            case CSIMD_F16: pointer.storeBytes(of: Float16(Float(newValue)), toByteOffset: index * 2, as: Float16.self)
            default:
                pointer.storeBytes(
                    of: TypedBuffer.bfloat16Bits(Float(newValue)), toByteOffset: index * 2, as: UInt16.self)
            }
        }
    }

    /// The bits of a Float rounded to bfloat16, nearest even; a NaN becomes quiet.
    static func bfloat16Bits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        if value.isNaN { return UInt16(bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (UInt64(bits) + 0x7FFF + UInt64((bits >> 16) & 1)) >> 16)
    }

    static func size(of type: csimd_type) -> Int {
        switch type {
        case CSIMD_F64: 8
        case CSIMD_F32: 4
        default: 2
        }
    }

    static let allTypes = [CSIMD_F32, CSIMD_F16, CSIMD_BF16, CSIMD_F64]
}

/// Makes buffers between inaccessible pages and releases them all at once: `defer { arena.release() }` keeps the memory for as
/// long as C may hold its pointers.
final class BufferArena {
    private var buffers: [GuardedBuffer<UInt8>] = []

    func make(_ type: csimd_type, count: Int) -> TypedBuffer {
        let buffer = GuardedBuffer<UInt8>(count: count * TypedBuffer.size(of: type), fill: 0xA5)
        buffers.append(buffer)
        return TypedBuffer(type: type, count: count, pointer: UnsafeMutableRawPointer(buffer.pointer))
    }

    func make(_ type: csimd_type, _ values: [Double]) -> TypedBuffer {
        let buffer = make(type, count: values.count)
        for index in values.indices { buffer[index] = values[index] }
        return buffer
    }

    func copy(of other: TypedBuffer) -> TypedBuffer {
        let buffer = make(other.type, count: other.count)
        memcpy(buffer.pointer, other.pointer, other.byteCount)
        return buffer
    }

    /// 64-bit class indices.
    func make(targets: [Int64]) -> UnsafeMutablePointer<Int64> {
        let buffer = make(CSIMD_F64, count: targets.count)
        let pointer = buffer.pointer.bindMemory(to: Int64.self, capacity: targets.count)
        for (index, target) in targets.enumerated() { pointer[index] = target }
        return pointer
    }

    func release() {
        for buffer in buffers { buffer.release() }
        buffers = []
    }
}

/// Unit roundoff of the arithmetic that CSIMD does for a type: float32's, or float64's for f64.
func arithmeticRoundoff(_ type: csimd_type) -> Double { type == CSIMD_F64 ? 0x1p-53 : 0x1p-24 }

/// What one rounding to nearest of a value of about `magnitude` to `type` may add: half an ulp, or half of the least subnormal.
/// For f32 and f64 only the latter: a relative rounding is part of the arithmetic's own bound.
func storageRounding(_ type: csimd_type, _ magnitude: Double) -> Double {
    switch type {
    case CSIMD_F16: max(magnitude * 0x1p-11, 0x1p-25)
    case CSIMD_BF16: max(magnitude * 0x1p-8, 0x1p-134)
    case CSIMD_F32: 0x1p-150
    default: 0
    }
}

/// SplitMix64: inputs of the kernel tests, the same in every run.
struct TestRandom {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func bits() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    mutating func uniform() -> Double { Double(bits() >> 11) * 0x1p-53 }

    /// About normal, mean 0 and deviation 1: the sum of 12 uniforms, less 6.
    mutating func normal() -> Double {
        var sum = -6.0
        for _ in 0..<12 { sum += uniform() }
        return sum
    }
}

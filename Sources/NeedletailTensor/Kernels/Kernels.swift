// `Kernels` holds one function a C call or memory loop: preconditions, memory, one call. This file: memory without arithmetic.
internal import CSIMD

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

enum Kernels {}

extension DType {
    /// The C library's name of a floating-point type. Traps for the others, which have no kernels there.
    var csimd: csimd_type {
        switch self {
        case .float32: CSIMD_F32
        case .float16: CSIMD_F16
        case .bfloat16: CSIMD_BF16
        case .float64: CSIMD_F64
        case .int32, .int64, .uint8, .bool:
            stop("this operation takes floating-point tensors, found \(self); cast first")
        }
    }
}

extension DType {
    /// The C library's name of an element type, where it takes any.
    var element: csimd_element {
        switch self {
        case .float32, .float16, .bfloat16, .float64: csimd_element(csimd.rawValue)
        case .int32: csimd_element(CSIMD_I32.rawValue)
        case .int64: csimd_element(CSIMD_I64.rawValue)
        case .uint8: csimd_element(CSIMD_U8.rawValue)
        case .bool: csimd_element(CSIMD_BOOL.rawValue)
        }
    }
}

/// Traps where a kernel refused its arguments: by then the shapes have been checked, so this is a defect of this package.
@inline(__always)
func expectSuccess(_ status: csimd_status, _ operation: StaticString) {
    if status == CSIMD_OK { return }
    if status == CSIMD_OUT_OF_MEMORY {
        stopOutOfMemory(
            "\(operation): out of memory for the kernel's scratch blocks; use a smaller batch or model, or raise the limit"
        )
    }
    stop("\(operation): the kernel refused its arguments (status \(status.rawValue))")
}

extension Kernels {
    static func copyBytes(from bytes: UnsafeRawBufferPointer, to target: Tensor) {
        assert(bytes.count == target.byteCount)
        guard let source = bytes.baseAddress else { return }
        withMemory(of: target) { $0.copyMemory(from: source, byteCount: bytes.count) }
    }

    static func bytes(of x: Tensor) -> [UInt8] {
        withMemory(of: x) { Array(UnsafeRawBufferPointer(start: $0, count: x.byteCount)) }
    }

    static func scalars<T: TensorScalar>(of x: Tensor) -> [T] {
        withMemory(of: x.elements(T.self)) { Array($0) }
    }

    static func normalizeBooleans(_ x: Tensor) {
        withMemory(of: x) {
            let bytes = UnsafeMutableBufferPointer(start: $0.assumingMemoryBound(to: UInt8.self), count: x.count)
            for index in bytes.indices where bytes[index] > 1 { bytes[index] = 1 }
        }
    }

    static func element(_ x: Tensor) -> Double {
        struct Read: ScalarVisitor {
            let x: Tensor
            func visit<T: TensorScalar>(_ type: T.Type) -> Double {
                withMemory(of: x) { $0.assumingMemoryBound(to: T.self).pointee.float64Value }
            }
        }
        return x.dtype.accept(Read(x: x))
    }

    static func fill(_ x: Tensor, _ value: Double) {
        struct Fill: ScalarVisitor {
            let x: Tensor
            let value: Double
            func visit<T: TensorScalar>(_ type: T.Type) {
                withMemory(of: x.elements(T.self)) { $0.update(repeating: T(nearest: value)) }
            }
        }
        x.dtype.accept(Fill(x: x, value: value))
    }

    /// Copies a view of any strides into a contiguous tensor of the same shape.
    static func copyStrided(_ x: Tensor, to y: Tensor) {
        guard x.count > 0 else { return }
        if copyTransposed(x, to: y) { return }
        switch x.dtype.byteCount {
        case 1: copyStrided(x, to: y, as: UInt8.self)
        case 2: copyStrided(x, to: y, as: UInt16.self)
        case 4: copyStrided(x, to: y, as: UInt32.self)
        default: copyStrided(x, to: y, as: UInt64.self)
        }
    }

    private static func copyStrided<Word>(_ x: Tensor, to y: Tensor, as word: Word.Type) {
        withMemory(of: x, y) {
            let source = $0.assumingMemoryBound(to: Word.self)
            var target = $1.assumingMemoryBound(to: Word.self)
            guard let columns = x.shape.last, let columnStride = x.strides.last else {
                target.pointee = source.pointee
                return
            }
            var rows = StridedPositions(shape: Array(x.shape.dropLast()), strides: Array(x.strides.dropLast()))
            while let start = rows.next() {
                let row = source + start
                if columnStride == 1 {
                    target.update(from: row, count: columns)
                } else {
                    for column in 0..<columns { target[column] = row[column * columnStride] }
                }
                target += columns
            }
        }
    }
}

/// The element offsets of a strided array, in row-major order.
struct StridedPositions {
    private let shape: [Int]
    private let strides: [Int]
    private var index: [Int]
    private var position = 0
    private var remaining: Int

    init(shape: [Int], strides: [Int]) {
        self.shape = shape
        self.strides = strides
        index = [Int](repeating: 0, count: shape.count)
        remaining = Shapes.count(shape)
    }

    mutating func next() -> Int? {
        if remaining == 0 { return nil }
        remaining -= 1
        let result = position
        var axis = shape.count - 1
        while axis >= 0 {
            index[axis] += 1
            position += strides[axis]
            if index[axis] < shape[axis] { break }
            position -= index[axis] * strides[axis]
            index[axis] = 0
            axis -= 1
        }
        return result
    }
}

extension Kernels {
    /// Copies contiguous x [rows, w] into columns `position ..< position + w` of contiguous y [rows, W].
    static func copyColumns(_ x: Tensor, to y: Tensor, at position: Int) {
        let size = x.dtype.byteCount
        let width = x.shape[1] * size, step = y.shape[1] * size
        if width == 0 { return }
        withMemory(of: x, y) { source, target in
            for row in 0..<x.shape[0] {
                memcpy(target + row * step + position * size, source + row * width, width)
            }
        }
    }
}

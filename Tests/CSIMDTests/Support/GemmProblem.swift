// One product for csimd_gemm with every operand on guard pages, its value in Double, and the bound of its error.
import CSIMD
import Glibc
import Testing

/// Numbers that are the same in every run: a multiplicative congruential generator, upper bits only.
struct GemmRandom {
    var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next(below bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }

    /// Uniform in [-1, 1) with 20 bits.
    mutating func nextSigned() -> Float { Float(next(below: 1 << 20) - (1 << 19)) * 0x1p-19 }
}

/// What rounding to a 16-bit type means, written apart from the kernels.
enum GemmNumber {
    static func bytes(_ type: csimd_type) -> Int { type == CSIMD_F32 ? 4 : 2 }

    /// Unit roundoff: half the distance from 1 to the next number.
    static func roundoff(_ type: csimd_type) -> Double {
        type == CSIMD_F32 ? 0x1p-24 : type == CSIMD_F16 ? 0x1p-11 : 0x1p-8
    }

    /// Half the least subnormal: the error of a rounding that underflows.
    static func underflow(_ type: csimd_type) -> Double {
        type == CSIMD_F32 ? 0x1p-150 : type == CSIMD_F16 ? 0x1p-25 : 0x1p-134
    }

    static func encode(_ value: Float, _ type: csimd_type) -> UInt32 {
        if type == CSIMD_F32 { return value.bitPattern }
        if type == CSIMD_F16 { return UInt32(Float16(value).bitPattern) }
        if value.isNaN { return value.bitPattern >> 16 | 0x40 }
        return (value.bitPattern + 0x7FFF + (value.bitPattern >> 16 & 1)) >> 16
    }

    static func decode(_ bits: UInt32, _ type: csimd_type) -> Float {
        if type == CSIMD_F32 { return Float(bitPattern: bits) }
        if type == CSIMD_F16 { return Float(Float16(bitPattern: UInt16(bits))) }
        return Float(bitPattern: bits << 16)
    }
}

/// A row-major matrix whose last element touches an inaccessible page; the gap between rows holds a marker.
struct GemmMatrix {
    let type: csimd_type
    let rows, width, stride: Int
    let buffer: GuardedBuffer<UInt8>

    /// A NaN in every type: read by mistake it shows in the result, overwritten it shows in `paddingIsIntact`.
    static let marker: UInt8 = 0xFF

    init(_ type: csimd_type, _ rows: Int, _ width: Int, padding: Int = 0, _ value: (Int, Int) -> Float) {
        self.type = type
        self.rows = rows
        self.width = width
        stride = width + padding
        let elements = rows == 0 || width == 0 ? 0 : (rows - 1) * stride + width
        buffer = GuardedBuffer(count: elements * GemmNumber.bytes(type), fill: Self.marker)
        for i in 0..<rows { for j in 0..<width { self[i, j] = value(i, j) } }
    }

    subscript(i: Int, j: Int) -> Float {
        get { GemmNumber.decode(bits(i, j), type) }
        nonmutating set {
            let raw = UnsafeMutableRawPointer(buffer.pointer) + (i * stride + j) * GemmNumber.bytes(type)
            let bits = GemmNumber.encode(newValue, type)
            if type == CSIMD_F32 {
                raw.storeBytes(of: bits, as: UInt32.self)
            } else {
                raw.storeBytes(of: UInt16(bits), as: UInt16.self)
            }
        }
    }

    func bits(_ i: Int, _ j: Int) -> UInt32 {
        let raw = UnsafeRawPointer(buffer.pointer) + (i * stride + j) * GemmNumber.bytes(type)
        return type == CSIMD_F32
            ? raw.loadUnaligned(as: UInt32.self) : UInt32(raw.loadUnaligned(as: UInt16.self))
    }

    var doubles: [Double] {
        var all: [Double] = []
        all.reserveCapacity(rows * width)
        for i in 0..<rows { for j in 0..<width { all.append(Double(self[i, j])) } }
        return all
    }

    func restore(_ bytes: [UInt8]) { for (index, byte) in bytes.enumerated() { buffer.elements[index] = byte } }

    var paddingIsIntact: Bool {
        let size = GemmNumber.bytes(type)
        for i in 0..<max(0, rows - 1) {
            for byte in (i * stride + width) * size..<(i + 1) * stride * size
            where buffer.elements[byte] != Self.marker { return false }
        }
        return true
    }
}

/// C = epilogue(alpha op(A) op(B) + beta C + bias) with random operands.
struct GemmProblem {
    var m, n, k: Int
    var types: (a: csimd_type, b: csimd_type, c: csimd_type) = (CSIMD_F32, CSIMD_F32, CSIMD_F32)
    var transposed: (a: Bool, b: Bool) = (false, false)
    var alpha: Float = 1
    var beta: Float = 0
    var biasType: csimd_type?
    var epilogue = CSIMD_EPILOGUE_NONE
    var auxType: csimd_type?
    var padding = 0
    var seed: UInt64 = 1
    /// The elements of A, B, bias and aux; C starts as NaN where beta is 0.
    var draw: (inout GemmRandom) -> Float = { $0.nextSigned() }

    var name: String {
        "m \(m) n \(n) k \(k) types \(types.a.rawValue)\(types.b.rawValue)\(types.c.rawValue) "
            + "transposed \(transposed.a) \(transposed.b) alpha \(alpha) beta \(beta) padding \(padding) "
            + "bias \(biasType.map { "\($0.rawValue)" } ?? "-") epilogue \(epilogue.rawValue)"
    }

    func make() -> GemmOperands {
        var random = GemmRandom(seed &+ UInt64(m * 1_000_003 + n * 1009 + k))
        func matrix(_ type: csimd_type, _ rows: Int, _ width: Int, _ padding: Int) -> GemmMatrix {
            GemmMatrix(type, rows, width, padding: padding) { _, _ in draw(&random) }
        }
        return GemmOperands(
            problem: self,
            a: matrix(types.a, transposed.a ? k : m, transposed.a ? m : k, padding),
            b: matrix(types.b, transposed.b ? n : k, transposed.b ? k : n, padding),
            c: GemmMatrix(types.c, m, n, padding: padding) { _, _ in beta == 0 ? .nan : draw(&random) },
            bias: biasType.map { matrix($0, 1, n, 0) },
            aux: auxType.map { matrix($0, m, n, padding) })
    }

    /// Runs on every supported row and compares each element with Double.
    func check(sourceLocation: SourceLocation = #_sourceLocation) {
        let operands = make()
        defer { operands.release() }
        let expected = operands.expected()
        let before = operands.snapshot()
        forEachGemm { row in
            operands.restore(before)
            #expect(operands.run() == CSIMD_OK, "\(row) \(name)", sourceLocation: sourceLocation)
            if let failure = operands.failure(against: expected, before: before) {
                Issue.record("\(row) \(name): \(failure)", sourceLocation: sourceLocation)
            }
        }
    }
}

/// What a product should give: values and the largest errors allowed, row-major; aux only where the epilogue writes it.
struct GemmExpectation {
    var values: [Double], bounds: [Double]
    var aux: [Double], auxBounds: [Double]
}

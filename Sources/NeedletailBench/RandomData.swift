// Operands: fresh in every run, and made quickly, because large ones would else take longer to make than to measure.
import NeedletailTensor

/// Uniform random tensors from a xorshift128+ generator (Vigna, arXiv 1404.0390), seeded from the system's.
struct RandomData {
    private var state: (UInt64, UInt64)

    init() { state = (UInt64.random(in: 1 ... .max), UInt64.random(in: 1 ... .max)) }

    private mutating func next() -> UInt64 {
        var x = state.0
        let y = state.1
        state.0 = y
        x ^= x << 23
        state.1 = x ^ y ^ (x >> 17) ^ (y >> 26)
        return state.1 &+ y
    }

    /// Values in [-1, 1): nothing subnormal slows the kernels down, and no sum overflows float16.
    mutating func uniform(_ shape: [Int], _ dtype: DType = .float32) -> Tensor {
        let count = shape.reduce(1, *)
        let values = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in 0..<count { buffer[index] = Float(Int32(truncatingIfNeeded: next() >> 32)) * 0x1p-31 }
            initialized = count
        }
        return Tensor(values, shape: shape).cast(to: dtype)
    }

    /// Classes in 0 ..< `classes`.
    mutating func targets(_ count: Int, classes: Int) -> Tensor {
        Tensor((0..<count).map { _ in Int64(next() % UInt64(classes)) })
    }
}

// How float16 products are summed: the choice that trades exactness for speed, made by the user alone.
internal import CSIMD

/// How the products of two float16 matrices are summed.
///
///     let y = try withMatMulAccumulation(.chunked(32)) { a.matmul(b) }  // for a run: configuration.matmulAccumulation
public enum MatMulAccumulation: Equatable, Sendable, CustomStringConvertible {
    /// In float32.
    case float32
    /// In float16 for at most so many products at a time, each of these sums then added to a float32 one. There is one length, 32.
    ///
    /// Precision: the error is at most `|A||B| / 63` and a little, where float32 sums have `k / 2^24` of it; a sum of 32 products
    /// of 65520 or more is infinite. Products of at most 16 rows, which wait for memory, keep float32 sums. For CPUs with
    /// AVX512_FP16; the reference kernels (`CSIMD_ISA=ref`) emulate it, slowly.
    case chunked(Int)

    /// Reads `float32` or `chunked:32`.
    public init(parsing text: String) throws {
        let words = text.split(separator: ":", omittingEmptySubsequences: false)
        if text == "float32" {
            self = .float32
        } else if words.count == 2, words[0] == "chunked", let products = Int(words[1]) {
            self = .chunked(products)
        } else {
            throw MatMulAccumulationError(
                message: "matmul accumulation '\(text)': expected float32 or chunked:\(CSIMD_CHUNK)")
        }
    }

    /// As `init(parsing:)` reads it.
    public var description: String {
        switch self {
        case .float32: "float32"
        case .chunked(let products): "chunked:\(products)"
        }
    }
}

/// Sums that cannot be had.
public struct MatMulAccumulationError: Error, CustomStringConvertible {
    /// What was found, what was expected, what to do.
    public let message: String
    /// ``message``.
    public var description: String { message }
}

/// What products on this thread use.
public var matMulAccumulation: MatMulAccumulation {
    let products = csimd_f16_chunk()
    return products == 0 ? .float32 : .chunked(products)
}

/// Runs `body` with products summed so, those of its backward too, whenever that runs.
///
/// Throws ``MatMulAccumulationError``, and does not run `body`, where the kernels in use have no such sums: nothing else is put in
/// their place. What else `body` throws passes through.
public func withMatMulAccumulation<R>(_ kind: MatMulAccumulation, _ body: () throws -> R) throws -> R {
    try ProductOptions.restoring {
        try chooseMatMulAccumulation(kind)
        return try body()
    }
}

/// Chooses for the calling thread, until the scope that it stands in ends. Throws as ``withMatMulAccumulation(_:_:)`` does.
package func chooseMatMulAccumulation(_ kind: MatMulAccumulation) throws {
    switch kind {
    case .float32: expectSuccess(csimd_set_thread_f16_chunk(0), "chooseMatMulAccumulation")
    case .chunked(let products):
        guard products == CSIMD_CHUNK else {
            throw MatMulAccumulationError(
                message:
                    "matmul accumulation \(kind): there are chunks of \(CSIMD_CHUNK) products only; use chunked:\(CSIMD_CHUNK)"
            )
        }
        guard csimd_set_thread_f16_chunk(products) == CSIMD_OK else {
            throw MatMulAccumulationError(
                message:
                    "matmul accumulation \(kind): needs a CPU with AVX512_FP16, this one has \(KernelInfo.cpuFeatures), and "
                    + "the kernels in use are \(KernelInfo.activeRow); use float32, or CSIMD_ISA=ref, which emulates it slowly"
            )
        }
    }
}

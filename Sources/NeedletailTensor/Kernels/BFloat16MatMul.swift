// Which kernel multiplies two bfloat16 matrices: the choice that may change a result's last bits on one and the same CPU.
internal import CSIMD

/// How products of two bfloat16 matrices are computed. Sums are float32 in both; the order differs, hence the last bits.
public enum BFloat16MatMul: String, Sendable {
    /// Elements are widened to float32 and multiplied there.
    case widen
    /// The CPU's bfloat16 dot product (AVX512_BF16), where it measured faster.
    case native
    /// The CPU's matrix tiles (AMX). Never chosen unasked: no machine with AMX has run the tests.
    case amx
}

/// What products on this thread use: what ``withBFloat16MatMul(_:_:)`` or the environment (`CSIMD_BF16_GEMM=widen`, `native` or
/// `amx`) says, else what a measurement of about 2 ms at first use found.
public var bfloat16MatMul: BFloat16MatMul {
    switch csimd_active_bf16_gemm() {
    case CSIMD_NATIVE: .native
    case CSIMD_AMX: .amx
    default: .widen
    }
}

/// Runs `body` with products of bfloat16 matrices computed so, those of its backward too, whenever that runs.
///
/// Throws ``BFloat16MatMulError``, and does not run `body`, where the CPU has no such instruction. What else `body` throws passes
/// through.
public func withBFloat16MatMul<R>(_ kind: BFloat16MatMul, _ body: () throws -> R) throws -> R {
    try ProductOptions.restoring {
        guard chooseBFloat16MatMul(kind) else {
            throw BFloat16MatMulError(
                message:
                    "bfloat16 products \(kind): this CPU has \(KernelInfo.cpuFeatures); use widen, which every CPU has")
        }
        return try body()
    }
}

/// A way of multiplying bfloat16 matrices that the CPU does not have.
public struct BFloat16MatMulError: Error, CustomStringConvertible {
    /// What was found, what was expected, what to do.
    public let message: String
    /// ``message``.
    public var description: String { message }
}

/// Chooses for the calling thread, until the scope that it stands in ends. False, and no change, where the CPU has no such
/// instruction.
@discardableResult
package func chooseBFloat16MatMul(_ kind: BFloat16MatMul) -> Bool {
    let choice: Int32 =
        switch kind {
        case .widen: Int32(CSIMD_WIDEN.rawValue)
        case .native: Int32(CSIMD_NATIVE.rawValue)
        case .amx: Int32(CSIMD_AMX.rawValue)
        }
    return csimd_set_thread_bf16_gemm(choice) == CSIMD_OK
}

extension KernelInfo {
    /// Whether the environment decides.
    package static var environmentChoosesBFloat16MatMul: Bool {
        csimd_bf16_gemm_reason() == CSIMD_BF16_BY_ENVIRONMENT
    }
}

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

/// What calls from this thread use: what ``setBFloat16MatMul(_:)`` or the environment (`CSIMD_BF16_GEMM=widen`, `native` or `amx`)
/// says, else what a measurement of about 2 ms at first use found.
public var bfloat16MatMul: BFloat16MatMul {
    switch csimd_active_bf16_gemm() {
    case CSIMD_NATIVE: .native
    case CSIMD_AMX: .amx
    default: .widen
    }
}

/// Chooses for the whole process; nil goes back to the default. False, and no change, where the CPU has no such instruction.
@discardableResult
public func setBFloat16MatMul(_ kind: BFloat16MatMul?) -> Bool {
    let choice: Int32 =
        switch kind {
        case nil: -1
        case .widen: Int32(CSIMD_WIDEN.rawValue)
        case .native: Int32(CSIMD_NATIVE.rawValue)
        case .amx: Int32(CSIMD_AMX.rawValue)
        }
    return csimd_set_bf16_gemm(choice) == CSIMD_OK
}

extension KernelInfo {
    /// What the process has chosen, if it has.
    package static var chosenBFloat16MatMul: BFloat16MatMul? {
        csimd_bf16_gemm_reason() == CSIMD_BF16_BY_PROCESS ? bfloat16MatMul : nil
    }

    /// Whether the environment decides.
    package static var environmentChoosesBFloat16MatMul: Bool {
        csimd_bf16_gemm_reason() == CSIMD_BF16_BY_ENVIRONMENT
    }
}

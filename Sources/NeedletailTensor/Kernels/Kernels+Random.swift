// Random numbers: many draws of a generator at once.
internal import CSIMD

extension Kernels {
    /// Whose draws: ``SeededGenerator/nextUniform()`` or ``SeededGenerator/nextNormal()``.
    enum Distribution {
        case uniform, normal

        fileprivate var csimd: csimd_distribution { self == .uniform ? CSIMD_UNIFORM : CSIMD_NORMAL }
        fileprivate var words: Int { self == .uniform ? 1 : 2 }
    }

    /// y[i] = start + scale u, u draw i of the generator, in float64, rounded to the floating-point type of y.
    static func random(
        _ distribution: Distribution, from generator: inout SeededGenerator, start: Double, scale: Double, to y: Tensor
    ) {
        let (seed, stream, position) = (generator.seed, generator.stream, generator.position)
        let status = withMemory(of: y) {
            csimd_random(distribution.csimd, seed, stream, position, start, scale, y.dtype.csimd, y.count, $0)
        }
        expectSuccess(status, "random")
        generator.skip(UInt64(y.count * distribution.words))
    }
}

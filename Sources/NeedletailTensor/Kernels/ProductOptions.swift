// How products are computed: chosen for a closure, as recording gradients is. A recorded operation keeps its choice for backward.
internal import CSIMD

/// What the calling thread has chosen of kernels and products.
package struct ProductOptions: Sendable {
    private let options: csimd_thread_options

    /// The calling thread's.
    package static var current: ProductOptions { ProductOptions(options: csimd_get_thread_options()) }

    /// Makes them the calling thread's.
    package func choose() { csimd_set_thread_options(options) }

    /// Runs `body` with these.
    @inline(__always)
    package func scope<R>(_ body: () throws -> R) rethrows -> R {
        let outer = ProductOptions.current
        if outer == self { return try body() }
        choose()
        defer { outer.choose() }
        return try body()
    }

    /// Runs `body`, and puts back what it chooses for the thread.
    package static func restoring<R>(_ body: () throws -> R) rethrows -> R {
        let outer = current
        defer { outer.choose() }
        return try body()
    }
}

extension ProductOptions: Equatable {
    package static func == (a: ProductOptions, b: ProductOptions) -> Bool {
        let (a, b) = (a.options, b.options)
        return a.row == b.row && a.bf16_gemm == b.bf16_gemm && a.f16_products == b.f16_products
            && a.emulates == b.emulates
    }
}

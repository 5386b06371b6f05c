// Pooling and normalisation of contiguous channels-last tensors.
internal import CSIMD

/// Which windows are pooled, and how.
struct PoolingGeometry: Sendable {
    enum Kind { case maximum, average, adaptive }
    let kind: Kind
    let kernel: Pair, stride: Pair, padding: Pair, output: Pair
    var countsPadding = true

    fileprivate func shape(_ image: [Int], _ dtype: DType) -> csimd_pool_shape {
        let kind = [Kind.maximum: CSIMD_POOL_MAX, .average: CSIMD_POOL_AVERAGE, .adaptive: CSIMD_POOL_ADAPTIVE][kind]
        return csimd_pool_shape(
            kind: kind ?? CSIMD_POOL_MAX, type: dtype.csimd, batch: image[0], height: image[1], width: image[2],
            channels: image[3], output_height: output.height, output_width: output.width,
            kernel_height: kernel.height, kernel_width: kernel.width, stride_height: stride.height,
            stride_width: stride.width, padding_height: padding.height, padding_width: padding.width,
            counts_padding: countsPadding)
    }
}

extension Kernels {
    /// y = the maxima of x's windows; the result says where they were.
    static func maxPool(_ x: Tensor, _ geometry: PoolingGeometry, into y: Tensor) -> Tensor {
        // Two bytes an element, which mean something to the kernels alone.
        let places = Tensor(uninitialized: y.shape, .float16)
        var shape = geometry.shape(x.shape, x.dtype)
        let status = withMemory(of: x, y, places) {
            csimd_max_pool(&shape, $0, $1, $2.assumingMemoryBound(to: UInt16.self))
        }
        expectSuccess(status, "maxPool")
        return places
    }

    /// dx from dy; with `result`, only where that is above 0.
    static func maxPoolGradient(
        _ dy: Tensor, _ geometry: PoolingGeometry, places: Tensor, result: Tensor?, into dx: Tensor
    ) {
        var shape = geometry.shape(dx.shape, dx.dtype)
        let status = withMemory(of: dy, places, result, dx) {
            csimd_max_pool_gradient(&shape, $0, $1.assumingMemoryBound(to: UInt16.self), $2, $3)
        }
        expectSuccess(status, "maxPool's gradient")
    }

    static func averagePool(_ x: Tensor, _ geometry: PoolingGeometry, into y: Tensor) {
        var shape = geometry.shape(x.shape, x.dtype)
        expectSuccess(withMemory(of: x, y) { csimd_average_pool(&shape, $0, $1) }, "averagePool")
    }

    static func averagePoolGradient(_ dy: Tensor, _ geometry: PoolingGeometry, into dx: Tensor) {
        var shape = geometry.shape(dx.shape, dx.dtype)
        let status = withMemory(of: dy, dx) { csimd_average_pool_gradient(&shape, $0, $1) }
        expectSuccess(status, "averagePool's gradient")
    }
}

/// x as [instances, rows, channels], and what is kept for each channel of an instance, in the accumulation type.
struct ColumnLayout: Sendable {
    let instances: Int, rows: Int, channels: Int

    /// Values a channel of an instance.
    var values: Int { instances * channels }
}

extension Kernels {
    /// Mean, as a value of the accumulation type and what is left of it, and mean squared difference from it of each column, in
    /// float64.
    /// - Parameter epsilon: what will be added to the variance, beside which that has to be right.
    static func moments(
        _ x: Tensor, _ layout: ColumnLayout, epsilon: Double
    ) -> (mean: Tensor, correction: Tensor, variance: Tensor) {
        let mean = Tensor(uninitialized: [layout.values], .float64)
        let correction = Tensor(uninitialized: [layout.values], .float64)
        let variance = Tensor(uninitialized: [layout.values], .float64)
        let status = withMemory(
            of: x, mean.elements(Double.self), correction.elements(Double.self), variance.elements(Double.self)
        ) {
            csimd_moments(
                x.dtype.csimd, layout.instances, layout.rows, layout.channels, $0, epsilon, $1.baseAddress,
                $2.baseAddress, $3.baseAddress)
        }
        expectSuccess(status, "moments")
        return (mean, correction, variance)
    }

    /// y = (x - mean) scale + shift, then the rectifier if `relu`.
    static func normalize(
        _ x: Tensor, _ layout: ColumnLayout, mean: [Double], scale: [Double], shift: [Double], relu: Bool,
        into y: Tensor
    ) {
        func wide(_ values: [Double]) -> Tensor { Tensor(values).cast(to: x.dtype.accumulationType) }
        let status = withMemory(of: x, wide(mean), wide(scale), wide(shift), y) {
            csimd_normalize(
                x.dtype.csimd, layout.instances, layout.rows, layout.channels, $0, $1, $2, $3, relu, $4)
        }
        expectSuccess(status, "normalize")
    }

    /// Σ dy and Σ dy (x - mean) of each column.
    static func normalizeSums(
        _ x: Tensor, _ dy: Tensor, _ layout: ColumnLayout, mean: [Double]
    ) -> (sum: [Double], product: [Double]) {
        let wide = x.dtype.accumulationType
        let sum = Tensor(uninitialized: [layout.values], wide), product = Tensor(uninitialized: [layout.values], wide)
        let status = withMemory(of: x, dy, Tensor(mean).cast(to: wide), sum, product) {
            csimd_normalize_sums(
                x.dtype.csimd, layout.instances, layout.rows, layout.channels, $0, $1, $2, $3, $4)
        }
        expectSuccess(status, "normalize sums")
        return (sum.scalars(), product.scalars())
    }

    /// dx = a dy + b (x - mean) + k.
    static func normalizeGradient(
        _ x: Tensor, _ dy: Tensor, _ layout: ColumnLayout, mean: [Double], a: [Double], b: [Double], k: [Double],
        into dx: Tensor
    ) {
        func wide(_ values: [Double]) -> Tensor { Tensor(values).cast(to: x.dtype.accumulationType) }
        let status = withMemory(of: x, dy, wide(mean), wide(a), wide(b), wide(k), dx) {
            csimd_normalize_gradient(
                x.dtype.csimd, layout.instances, layout.rows, layout.channels, $0, $1, $2, $3, $4, $5, $6)
        }
        expectSuccess(status, "normalize gradient")
    }
}

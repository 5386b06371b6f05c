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
        let status = csimd_max_pool(
            &shape, x.pointer, y.pointer, places.pointer.assumingMemoryBound(to: UInt16.self))
        expectSuccess(status, "maxPool")
        return places
    }

    /// dx from dy; with `result`, only where that is above 0.
    static func maxPoolGradient(
        _ dy: Tensor, _ geometry: PoolingGeometry, places: Tensor, result: Tensor?, into dx: Tensor
    ) {
        var shape = geometry.shape(dx.shape, dx.dtype)
        let status = csimd_max_pool_gradient(
            &shape, dy.pointer, places.pointer.assumingMemoryBound(to: UInt16.self), result?.pointer, dx.pointer)
        expectSuccess(status, "maxPool's gradient")
    }

    static func averagePool(_ x: Tensor, _ geometry: PoolingGeometry, into y: Tensor) {
        var shape = geometry.shape(x.shape, x.dtype)
        expectSuccess(csimd_average_pool(&shape, x.pointer, y.pointer), "averagePool")
    }

    static func averagePoolGradient(_ dy: Tensor, _ geometry: PoolingGeometry, into dx: Tensor) {
        var shape = geometry.shape(dx.shape, dx.dtype)
        expectSuccess(csimd_average_pool_gradient(&shape, dy.pointer, dx.pointer), "averagePool's gradient")
    }
}

/// x as [instances, rows, channels], and what is kept for each channel of an instance, in the accumulation type.
struct ColumnLayout: Sendable {
    let instances: Int, rows: Int, channels: Int

    /// Values a channel of an instance.
    var values: Int { instances * channels }
}

extension Kernels {
    /// Mean and mean squared difference from it of each column.
    static func moments(_ x: Tensor, _ layout: ColumnLayout) -> (mean: [Double], variance: [Double]) {
        let mean = Tensor(uninitialized: [layout.values], x.dtype.accumulationType)
        let variance = Tensor(uninitialized: [layout.values], x.dtype.accumulationType)
        let status = csimd_moments(
            x.dtype.csimd, layout.instances, layout.rows, layout.channels, x.pointer, mean.pointer, variance.pointer)
        expectSuccess(status, "moments")
        return (mean.scalars(), variance.scalars())
    }

    /// y = (x - mean) scale + shift, then the rectifier if `relu`.
    static func normalize(
        _ x: Tensor, _ layout: ColumnLayout, mean: [Double], scale: [Double], shift: [Double], relu: Bool,
        into y: Tensor
    ) {
        let wide = x.dtype.accumulationType
        let (mean, scale, shift) = (
            Tensor(mean).cast(to: wide), Tensor(scale).cast(to: wide), Tensor(shift).cast(to: wide)
        )
        let status = csimd_normalize(
            x.dtype.csimd, layout.instances, layout.rows, layout.channels, x.pointer, mean.pointer, scale.pointer,
            shift.pointer, relu, y.pointer)
        expectSuccess(status, "normalize")
    }

    /// Σ dy and Σ dy (x - mean) of each column.
    static func normalizeSums(
        _ x: Tensor, _ dy: Tensor, _ layout: ColumnLayout, mean: [Double]
    ) -> (sum: [Double], product: [Double]) {
        let wide = x.dtype.accumulationType
        let mean = Tensor(mean).cast(to: wide)
        let sum = Tensor(uninitialized: [layout.values], wide), product = Tensor(uninitialized: [layout.values], wide)
        let status = csimd_normalize_sums(
            x.dtype.csimd, layout.instances, layout.rows, layout.channels, x.pointer, dy.pointer, mean.pointer,
            sum.pointer, product.pointer)
        expectSuccess(status, "normalize sums")
        return (sum.scalars(), product.scalars())
    }

    /// dx = a dy + b (x - mean) + k.
    static func normalizeGradient(
        _ x: Tensor, _ dy: Tensor, _ layout: ColumnLayout, mean: [Double], a: [Double], b: [Double], k: [Double],
        into dx: Tensor
    ) {
        let wide = x.dtype.accumulationType
        let parts = [mean, a, b, k].map { Tensor($0).cast(to: wide) }
        let status = csimd_normalize_gradient(
            x.dtype.csimd, layout.instances, layout.rows, layout.channels, x.pointer, dy.pointer, parts[0].pointer,
            parts[1].pointer, parts[2].pointer, parts[3].pointer, dx.pointer)
        expectSuccess(status, "normalize gradient")
    }
}

// Maxima and means of windows of images. Results lie channels-last in memory, as those of convolutions do.

/// The largest element of each window.
///
/// ```text
/// y[n, c, i, j] = max over u, v of x[n, c, i stride - padding + u, j stride - padding + v]
/// ```
///
/// Shapes: x [N, C, H, W], result [N, C, H', W'] with H' = (H + 2 padding - kernel) / stride + 1, rounded down; padding is at most
/// half of the kernel and never wins; the stride is the kernel's size where it is nil.
/// Precision: exact; NaN if any element of the window is. Gradients: dy goes to the first of the largest elements.
public func maxPool2d(_ x: Tensor, kernel: Pair, stride: Pair? = nil, padding: Pair = 0) -> Tensor {
    let geometry = windows("maxPool2d", x, .maximum, kernel, stride ?? kernel, padding)
    require(
        kernel.height * kernel.width <= 2048,
        "maxPool2d: a kernel of \(kernel.height) x \(kernel.width), expected at most 2048 elements")
    let plain = x.channelsLast()
    let y = Tensor(uninitialized: resultShape(x, geometry), x.dtype)
    let places = Kernels.maxPool(plain, geometry, into: y)
    let result = y.viewedChannelsFirst()
    // Where x is a rectifier's result, y > 0 says where that let dy through.
    let operation = x.node as? OperationNode
    var rectified: GradientNode?
    if case .reluGradient = operation?.channelsLastGradient { rectified = operation?.inputs[0] }
    return pooled("maxPool2d", x, result, input: rectified ?? x.node, plain.shape) { dy, dx in
        Kernels.maxPoolGradient(
            dy, geometry, places: places, result: rectified == nil ? nil : y, into: dx)
    }
}

/// The mean of each window.
///
/// Shapes: as of ``maxPool2d(_:kernel:stride:padding:)``.
/// Precision: sums in float32, rounded once. Gradients: dy / count to each element of the window.
/// - Parameter countsPadding: whether the zeros around the image count, so that every sum is divided by the kernel's area.
public func averagePool2d(
    _ x: Tensor, kernel: Pair, stride: Pair? = nil, padding: Pair = 0, countsPadding: Bool = true
) -> Tensor {
    var geometry = windows("averagePool2d", x, .average, kernel, stride ?? kernel, padding)
    geometry.countsPadding = countsPadding
    return averaged("averagePool2d", x, geometry)
}

/// The means of windows that cover the image, as many as wanted: window i of n is pixels ⌊i H / n⌋ to ⌈(i + 1) H / n⌉.
///
/// Shapes: x [N, C, H, W], result [N, C, output height, output width]; `1` is the mean of each channel.
/// Precision and gradients: as of `averagePool2d`.
public func adaptiveAveragePool2d(_ x: Tensor, output: Pair) -> Tensor {
    require(
        x.rank == 4 && x.shape[2] > 0 && x.shape[3] > 0 && output.height > 0 && output.width > 0,
        "adaptiveAveragePool2d: shape \(x.shape) to \(output.height) x \(output.width), expected [N, C, H, W] and sizes above 0"
    )
    return averaged(
        "adaptiveAveragePool2d", x,
        PoolingGeometry(kind: .adaptive, kernel: 1, stride: 1, padding: 0, output: output))
}

/// ``maxPool2d(_:kernel:stride:padding:)`` along one axis: x [N, C, L].
public func maxPool1d(_ x: Tensor, kernel: Int, stride: Int? = nil, padding: Int = 0) -> Tensor {
    require(x.rank == 3, "maxPool1d: shape \(x.shape), expected [N, C, L]")
    return maxPool2d(
        x.expandedDimension(at: 2), kernel: Pair(1, kernel), stride: Pair(1, stride ?? kernel),
        padding: Pair(0, padding)
    ).squeezed(at: 2)
}

/// ``averagePool2d(_:kernel:stride:padding:countsPadding:)`` along one axis: x [N, C, L].
public func averagePool1d(
    _ x: Tensor, kernel: Int, stride: Int? = nil, padding: Int = 0, countsPadding: Bool = true
) -> Tensor {
    require(x.rank == 3, "averagePool1d: shape \(x.shape), expected [N, C, L]")
    return averagePool2d(
        x.expandedDimension(at: 2), kernel: Pair(1, kernel), stride: Pair(1, stride ?? kernel),
        padding: Pair(0, padding), countsPadding: countsPadding
    ).squeezed(at: 2)
}

private func averaged(_ name: StaticString, _ x: Tensor, _ geometry: PoolingGeometry) -> Tensor {
    let plain = x.channelsLast()
    let y = Tensor(uninitialized: resultShape(x, geometry), x.dtype)
    Kernels.averagePool(plain, geometry, into: y)
    return pooled(name, x, y.viewedChannelsFirst(), input: x.node, plain.shape) { dy, dx in
        Kernels.averagePoolGradient(dy, geometry, into: dx)
    }
}

private func windows(
    _ name: String, _ x: Tensor, _ kind: PoolingGeometry.Kind, _ kernel: Pair, _ stride: Pair, _ padding: Pair
) -> PoolingGeometry {
    require(x.rank == 4, "\(name): shape \(x.shape), expected [N, C, H, W]")
    let whole = ConvolutionGeometry(kernel: kernel, stride: stride, padding: padding, dilation: 1, groups: 1)
    whole.check(name, height: x.shape[2], width: x.shape[3])
    require(
        padding.height <= kernel.height / 2 && padding.width <= kernel.width / 2,
        "\(name): padding (\(padding.height), \(padding.width)) is more than half of the kernel "
            + "(\(kernel.height), \(kernel.width))")
    return PoolingGeometry(
        kind: kind, kernel: kernel, stride: stride, padding: padding, output: whole.output(x.shape[2], x.shape[3]))
}

private func resultShape(_ x: Tensor, _ geometry: PoolingGeometry) -> [Int] {
    [x.shape[0], geometry.output.height, geometry.output.width, x.shape[1]]
}

/// `result` recorded with `input` as where its gradient goes.
private func pooled(
    _ name: StaticString, _ x: Tensor, _ result: Tensor, input: GradientNode?, _ shape: [Int],
    backward: @escaping (_ dy: Tensor, _ dx: Tensor) -> Void
) -> Tensor {
    var result = result
    if GradientMode.isRecording, let input {
        let dtype = x.dtype
        result.node = OperationNode(name, inputs: [input]) { dy in
            let dx = Tensor(uninitialized: shape, dtype)
            backward(dy.channelsLast(), dx)
            return [dx.viewedChannelsFirst()]
        }
    }
    return result.observed(name, x)
}

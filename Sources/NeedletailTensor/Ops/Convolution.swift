// Convolutions. Tensors are [N, C, H, W] as in PyTorch; in memory results lie channels-last, [N, H, W, C], which is what the kernels
// take, so that nothing is turned round between layers. See docs/models.md.

/// A number for height and width: `3`, or `[3, 1]` where they differ.
public struct Pair: Sendable, Equatable, Hashable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
    /// Of the vertical axis.
    public let height: Int
    /// Of the horizontal axis.
    public let width: Int

    /// Both numbers.
    public init(_ height: Int, _ width: Int) {
        self.height = height
        self.width = width
    }

    /// The same number twice.
    public init(_ both: Int) { self.init(both, both) }

    /// The same number twice.
    public init(integerLiteral value: Int) { self.init(value) }

    /// Height and width.
    public init(arrayLiteral elements: Int...) {
        require(elements.count == 2, "a pair takes two numbers, height and width; found \(elements)")
        self.init(elements[0], elements[1])
    }
}

/// Where the windows of a convolution lie.
struct ConvolutionGeometry: Sendable, Equatable {
    let kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
    let groups: Int

    func output(_ height: Int, _ width: Int) -> Pair {
        func size(_ n: Int, _ padding: Int, _ dilation: Int, _ kernel: Int, _ stride: Int) -> Int {
            (n + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1
        }
        return Pair(
            size(height, padding.height, dilation.height, kernel.height, stride.height),
            size(width, padding.width, dilation.width, kernel.width, stride.width))
    }

    /// Traps where a number is out of range or the padded image does not hold a whole kernel.
    func check(_ operation: String, height: Int, width: Int) {
        for (name, pair, least) in [
            ("kernel", kernel, 1), ("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1),
        ] {
            require(
                pair.height >= least && pair.width >= least,
                "\(operation): \(name) (\(pair.height), \(pair.width)), expected at least \(least)")
        }
        let reach = Pair(dilation.height * (kernel.height - 1) + 1, dilation.width * (kernel.width - 1) + 1)
        let padded = Pair(height + 2 * padding.height, width + 2 * padding.width)
        require(
            padded.height >= reach.height && padded.width >= reach.width,
            "\(operation): the padded image is \(padded.height) x \(padded.width), the kernel reaches "
                + "\(reach.height) x \(reach.width); use a smaller kernel or more padding")
    }
}

extension Tensor {
    /// [N, C, …] as contiguous [N, …, C]; not recorded, no copy where it lies so already.
    func channelsLast() -> Tensor {
        rank <= 2 ? detached().contiguous() : detached().permuted([0] + Array(2..<rank) + [1]).contiguous()
    }

    /// Contiguous [N, …, C] seen as [N, C, …], not recorded.
    func viewedChannelsFirst() -> Tensor {
        rank <= 2 ? detached() : detached().permuted([0, rank - 1] + Array(1..<rank - 1))
    }
}

/// activation(x ⋆ W + b), the cross-correlation that neural networks call convolution, in one pass over the result.
///
/// ```text
/// y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] x[n, c, i stride - padding + u dilation, j stride - padding + v dilation]
/// ```
///
/// Shapes: x [N, C, H, W], weight [O, C / groups, kernel height, kernel width], bias [O], result [N, O, H', W'] with
/// H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down. The result lies channels-last in memory.
/// Precision: x is cast to the weight's type, accumulation is float32, the result has the weight's type.
/// Gradients: dX the transposed convolution of dZ, in the type of x; dW and db are accumulated in float32 where weight and bias
/// are parameters. Where x comes from an activation that lies channels-last, dX is multiplied by its derivative before it is rounded.
public func conv2d(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
    groups: Int = 1, activation: Activation = .identity
) -> Tensor {
    require(
        x.rank == 4 && weight.rank == 4,
        "conv2d: input shape \(x.shape) and weight shape \(weight.shape): expected [N, C, H, W] and [O, C / groups, h, w]"
    )
    let geometry = ConvolutionGeometry(
        kernel: Pair(weight.shape[2], weight.shape[3]), stride: stride, padding: padding, dilation: dilation,
        groups: groups)
    return convolved("conv2d", x, weight, bias, geometry, activation)
}

/// activation(x ⋆ W + b) along one axis: ``conv2d(_:weight:bias:stride:padding:dilation:groups:activation:)`` of height 1.
///
/// Shapes: x [N, C, L], weight [O, C / groups, kernel], bias [O], result [N, O, L'].
/// Precision and gradients: as of `conv2d`.
public func conv1d(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1,
    groups: Int = 1, activation: Activation = .identity
) -> Tensor {
    require(
        x.rank == 3 && weight.rank == 3,
        "conv1d: input shape \(x.shape) and weight shape \(weight.shape): expected [N, C, L] and [O, C / groups, kernel]"
    )
    let geometry = ConvolutionGeometry(
        kernel: Pair(1, weight.shape[2]), stride: Pair(1, stride), padding: Pair(0, padding),
        dilation: Pair(1, dilation), groups: groups)
    return convolved("conv1d", x.expandedDimension(at: 2), weight, bias, geometry, activation).squeezed(at: 2)
}

/// activation(the transpose of ``conv2d(_:weight:bias:stride:padding:dilation:groups:activation:)`` + b): each element of x adds a
/// kernel, scaled by it, to the result.
///
/// Shapes: x [N, C, H, W], weight [C, O / groups, kernel height, kernel width], bias [O], result [N, O, H', W'] with
/// H' = (H - 1) stride - 2 padding + dilation (kernel - 1) + outputPadding + 1; the output padding is smaller than the stride.
/// Precision: as of `conv2d`. Gradients: dX is `conv2d` of dZ; dW and db as there.
public func convTranspose2d(
    _ x: Tensor, weight: Tensor, bias: Tensor? = nil, stride: Pair = 1, padding: Pair = 0, outputPadding: Pair = 0,
    dilation: Pair = 1, groups: Int = 1, activation: Activation = .identity
) -> Tensor {
    require(
        x.rank == 4 && weight.rank == 4 && x.shape[1] == weight.shape[0],
        "convTranspose2d: input shape \(x.shape) and weight shape \(weight.shape): expected [N, C, H, W] and [C, O / groups, h, w]"
    )
    let geometry = ConvolutionGeometry(
        kernel: Pair(weight.shape[2], weight.shape[3]), stride: stride, padding: padding, dilation: dilation,
        groups: groups)
    require(
        (0..<max(1, stride.height)).contains(outputPadding.height)
            && (0..<max(1, stride.width)).contains(outputPadding.width),
        "convTranspose2d: output padding (\(outputPadding.height), \(outputPadding.width)) must be smaller than the stride "
            + "(\(stride.height), \(stride.width))")
    func size(_ n: Int, _ p: Int, _ d: Int, _ k: Int, _ s: Int, _ extra: Int) -> Int {
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
    }
    let height = size(
        x.shape[2], padding.height, dilation.height, weight.shape[2], stride.height, outputPadding.height)
    let width = size(x.shape[3], padding.width, dilation.width, weight.shape[3], stride.width, outputPadding.width)
    require(
        height > 0 && width > 0,
        "convTranspose2d: input shape \(x.shape) with padding (\(padding.height), \(padding.width)) leaves \(height) x \(width)"
    )
    return convolved("convTranspose2d", x, weight, bias, geometry, activation, transposed: Pair(height, width))
}

/// What the three have in common; `transposed` is the size of the transpose's result. The weight may lack the first axis of its
/// kernel.
private func convolved(
    _ operation: StaticString, _ x: Tensor, _ weight: Tensor, _ bias: Tensor?, _ geometry: ConvolutionGeometry,
    _ activation: Activation, transposed: Pair? = nil
) -> Tensor {
    let (count, channels, height, width) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
    let groups = geometry.groups
    let isTransposed = transposed != nil
    geometry.check("\(operation)", height: transposed?.height ?? height, width: transposed?.width ?? width)
    let outputs = isTransposed ? weight.shape[1] * groups : weight.shape[0]
    require(
        groups >= 1 && weight.shape[0] % groups == 0
            && (isTransposed ? weight.shape[0] : weight.shape[1] * groups) == channels,
        "\(operation): input shape \(x.shape) and weight shape \(weight.shape) do not match with \(groups) groups")
    require(
        bias == nil || bias?.shape == [outputs],
        "\(operation): bias shape \(bias?.shape ?? []) and weight shape \(weight.shape): the bias must be [\(outputs)]")
    let x = x.cast(to: weight.dtype)
    // The kernels add a bias of any type but across float64's border.
    let bias = bias.map { ($0.dtype == .float64) == (weight.dtype == .float64) ? $0 : $0.cast(to: weight.dtype) }
    let plainWeight = weight.detached().contiguous()
    let plainInput = x.channelsLast()
    let recording = GradientMode.isRecording && (x.node != nil || weight.node != nil || bias?.node != nil)

    let size = transposed ?? geometry.output(height, width)
    let y = Tensor(uninitialized: [count, size.height, size.width, outputs], weight.dtype)
    var saved = y
    var epilogue = Epilogue.none
    switch activation {
    case .identity: break
    case .relu: epilogue = .relu
    case .gelu:
        if recording { saved = Tensor(uninitialized: y.shape, y.dtype) }
        epilogue = .gelu(recording ? saved : nil)
    }
    Kernels.convolution(
        plainInput, weight: plainWeight, bias: bias?.detached().contiguous(), geometry, transposed: isTransposed,
        epilogue: epilogue, into: y)
    var result = y.viewedChannelsFirst()
    guard recording else {
        return result.observed(operation, x, weight, bias ?? weight)
            .activatedChannelsLast(activation, of: result, saved: saved)
    }

    let inputOperation = x.node as? OperationNode
    let inputDerivative = inputOperation?.channelsLastGradient
    let (inputNode, weightNode, biasNode) = (
        inputDerivative == nil ? x.node : inputOperation?.inputs[0], weight.node, bias?.node
    )
    let biasType = bias?.dtype ?? weight.dtype
    let used = UsedParameters(
        of: (inputNode == nil ? [] : [weight]) + (weightNode == nil ? [] : [x]))
    result.node = OperationNode(operation, inputs: [inputNode, weightNode, biasNode], using: used) { dz in
        let dz = dz.channelsLast()
        var dx: Tensor?
        if inputNode != nil {
            let target = Tensor(uninitialized: plainInput.shape, plainInput.dtype)
            Kernels.convolution(
                dz, weight: plainWeight, geometry, transposed: !isTransposed, epilogue: inputDerivative ?? .none,
                into: target)
            dx = target.viewedChannelsFirst()
        }
        let dw = weightNode?.deliver(plainWeight.shape, plainWeight.dtype) { buffer, accumulate in
            // The transpose's x is what the forward operation's dy is.
            Kernels.convolutionWeightGradient(
                isTransposed ? plainInput : dz, isTransposed ? dz : plainInput, geometry, accumulate: accumulate,
                into: buffer)
        }
        let db = biasNode?.deliver([outputs], biasType) { buffer, accumulate in
            Kernels.reduce(
                dz, outer: 1, count: count * size.height * size.width, inner: outputs, accumulate: accumulate,
                to: buffer)
        }
        return [dx, dw ?? nil, db ?? nil]
    }
    return result.observed(operation, x, weight, bias ?? weight)
        .activatedChannelsLast(activation, of: result, saved: saved)
}

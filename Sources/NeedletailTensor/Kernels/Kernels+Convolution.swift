// Convolutions of channels-last images, their gradients, and the copies between channels-first and channels-last.
internal import CSIMD

extension ConvolutionGeometry {
    /// For images [N, H, W, C] and a weight [O, C / groups, kernel height, kernel width].
    fileprivate func shape(_ image: [Int], outputChannels: Int) -> csimd_conv_shape {
        csimd_conv_shape(
            batch: image[0], height: image[1], width: image[2], channels: image[3], output_channels: outputChannels,
            kernel_height: kernel.height, kernel_width: kernel.width, stride_height: stride.height,
            stride_width: stride.width, padding_height: padding.height, padding_width: padding.width,
            dilation_height: dilation.height, dilation_width: dilation.width, groups: groups)
    }
}

extension Kernels {
    /// y = epilogue(x * weight + bias), or for `transposed` the transpose; x and y contiguous channels-last. The geometry is that of
    /// the operation that is not transposed.
    static func convolution(
        _ x: Tensor, weight: Tensor, bias: Tensor? = nil, _ geometry: ConvolutionGeometry, transposed: Bool = false,
        epilogue: Epilogue = .none, into y: Tensor
    ) {
        assert(x.isContiguous && y.isContiguous && weight.isContiguous && bias?.isContiguous != false)
        var arguments = csimd_conv_args()
        arguments.shape = geometry.shape((transposed ? y : x).shape, outputChannels: (transposed ? x : y).shape[3])
        arguments.x_type = x.dtype.csimd
        arguments.weight_type = weight.dtype.csimd
        arguments.y_type = y.dtype.csimd
        if let bias { arguments.bias_type = bias.dtype.csimd }
        arguments.epilogue = epilogue.csimd
        let auxiliary = epilogue.operand
        if let auxiliary {
            assert(auxiliary.isContiguous && auxiliary.count == y.count)
            arguments.aux_type = auxiliary.dtype.csimd
        }
        let status = withMemory(of: x, weight, bias, auxiliary, y) { x, weight, bias, auxiliary, y in
            arguments.x = UnsafeRawPointer(x)
            arguments.weight = UnsafeRawPointer(weight)
            arguments.bias = UnsafeRawPointer(bias)
            arguments.aux = auxiliary
            arguments.y = y
            return transposed ? csimd_conv_input_gradient(&arguments) : csimd_conv(&arguments)
        }
        expectSuccess(status, "convolution")
    }

    /// dw = (accumulate ? dw : 0) + the gradient by the weight; dy and x contiguous channels-last.
    static func convolutionWeightGradient(
        _ dy: Tensor, _ x: Tensor, _ geometry: ConvolutionGeometry, accumulate: Bool, into dw: Tensor
    ) {
        assert(dy.isContiguous && x.isContiguous && dw.isContiguous)
        var shape = geometry.shape(x.shape, outputChannels: dy.shape[3])
        let status = withMemory(of: dy, x, dw) {
            csimd_conv_weight_gradient(
                &shape, dy.dtype.csimd, $0, x.dtype.csimd, $1, accumulate, dw.dtype.csimd, $2)
        }
        expectSuccess(status, "convolution's weight gradient")
    }

    /// Copies a view that is a batch of matrices turned round, as channels-first is of channels-last; false, and nothing done, for
    /// others.
    static func copyTransposed(_ x: Tensor, to y: Tensor) -> Bool {
        // Axes that follow one another in memory are one.
        var shape: [Int] = []
        var strides: [Int] = []
        for (size, stride) in zip(x.shape, x.strides) where size != 1 {
            if let last = strides.last, last == stride * size {
                shape[shape.count - 1] *= size
                strides[strides.count - 1] = stride
            } else {
                shape.append(size)
                strides.append(stride)
            }
        }
        let rank = shape.count
        guard rank == 2 || rank == 3, strides[rank - 2] == 1, strides[rank - 1] >= shape[rank - 2] else { return false }
        let status = withMemory(of: x, y) {
            csimd_transpose(
                x.dtype.byteCount, rank == 3 ? shape[0] : 1, shape[rank - 2], shape[rank - 1], $0,
                rank == 3 ? strides[0] : 0, strides[rank - 1], $1)
        }
        expectSuccess(status, "contiguous")
        return true
    }
}

// How much an operation computes and moves, from the shapes that it reads and writes.
package import NeedletailTensor

/// Floating-point operations and bytes of one operation.
package struct OperationCost: Sendable, Equatable {
    /// 2·m·n·k for a matrix product, twice the multiply-adds of a convolution; for others one for each element of the largest tensor.
    package var operations = 0.0
    /// Bytes of all that is read and written, each tensor once.
    package var bytes = 0.0

    /// The sum of two.
    package static func += (a: inout OperationCost, b: OperationCost) {
        a.operations += b.operations
        a.bytes += b.bytes
    }

    /// The cost of computing `output` from `inputs`.
    package static func forward(_ operation: String, _ inputs: [Tensor], _ output: Tensor) -> OperationCost {
        let tensors = inputs + [output]
        var cost = OperationCost()
        cost.bytes = tensors.reduce(0) { $0 + Double($1.byteCount) }
        switch operation {
        case "linear", "matmul":
            cost.operations = product(inputs, output)
        case "attention", "selfAttention":
            // Scores and weighted sums, all pairs of queries and keys counted, causal or not.
            let keys = operation == "attention" ? inputs.dropFirst().first?.shape[2] : output.shape[1]
            cost.operations = 4 * Double(output.count) * Double(keys ?? 0)
        case "geluFeedForward":
            let rows = Double(output.shape.dropLast().reduce(1, *))
            cost.operations = 2 * rows * Double(inputs[1].count + inputs[2].count)
        case "linearCrossEntropy":
            cost.operations = 2 * Double(inputs[0].count) * Double(inputs[1].shape[0])
        case "conv1d", "conv2d": cost.operations = 2 * Double(output.count) * patch(inputs)
        case "convTranspose2d": cost.operations = 2 * Double(inputs.first?.count ?? 0) * patch(inputs)
        default:
            cost.operations = Double(tensors.map(\.count).max() ?? 0)
        }
        return cost
    }

    /// The cost of an operation's gradients: a product each for those inputs of a product that have one.
    package static func backward(_ operation: String, _ inputs: [Tensor], _ output: Tensor) -> OperationCost {
        var cost = forward(operation, inputs, output)
        let wanted = inputs.prefix(2).filter(\.requiresGradient).count
        switch operation {
        case "linear", "matmul", "conv1d", "conv2d", "convTranspose2d":
            cost.operations *= Double(wanted)
            // Each product reads the result's gradient and one input, and writes the other's gradient.
            let own = inputs.prefix(2).map { Double($0.byteCount) }.reduce(0, +)
            cost.bytes = Double(wanted) * (Double(output.byteCount) + own)
        case "geluFeedForward":
            cost.operations *= 2
            cost.bytes *= 2
        case "attention", "selfAttention":
            cost.operations *= 2.5  // scores again, and four products
            cost.bytes *= 2
        default: cost.bytes += Double(output.byteCount)
        }
        return cost
    }

    /// Multiply-adds of one element: those of a weight [channels, channels of a group, kernel…] but the first axis.
    private static func patch(_ inputs: [Tensor]) -> Double {
        inputs.count < 2 ? 0 : Double(inputs[1].shape.dropFirst().reduce(1, *))
    }

    private static func product(_ inputs: [Tensor], _ output: Tensor) -> Double {
        guard let shared = inputs.first?.shape.last else { return 0 }
        return 2 * Double(output.count) * Double(shared)
    }
}

// The operations of Tests/parity/operations.py, as this package writes them.
import Needletail
import Testing

/// One case of the file's list.
struct ParityCase: Decodable {
    let op: String
    let type: String
    let terms: Int
    let operands: Int
    let indices: Int
    let options: [String: [Double]]

    func integers(_ name: String) throws -> [Int] { try #require(options[name], "no \(name)").map { Int($0) } }
    func integer(_ name: String) throws -> Int { try #require(integers(name).first) }
    func number(_ name: String) throws -> Double { try #require(options[name]?.first, "no \(name)") }
}

/// Every operation that has a gradient, and those whose results are exact.
enum ParityOperation: String, ParityTable {
    case add, subtract, multiply, divide, maximum, minimum, scalars
    case negate, exp, log, sqrt, tanh, sigmoid, relu, gelu, silu, abs, pow, clamp
    case sum, mean, max, variance, matmul, linear, softmax, logSoftmax
    case `where`, concatenate, stack, gather, views
    case crossEntropy, softCrossEntropy, nllLoss
    case compare, argmax
    case layerNorm, rmsNorm, embedding, swiGLU, geluTanh, rotaryPositions, attention, selfAttention, geluFeedForward

    func apply(_ x: [Tensor], _ indices: [Tensor], _ test: ParityCase) throws -> Tensor {
        switch self {
        case .add: x[0] + x[1]
        case .subtract: x[0] - x[1]
        case .multiply: x[0] * x[1]
        case .divide: x[0] / x[1]
        case .maximum: Tensor.maximum(x[0], x[1])
        case .minimum: Tensor.minimum(x[0], x[1])
        case .scalars: 2 - (3 * x[0] + 1) / 4 + 1 / x[0]
        case .negate: -x[0]
        case .exp: x[0].exp()
        case .log: x[0].log()
        case .sqrt: x[0].sqrt()
        case .tanh: x[0].tanh()
        case .sigmoid: x[0].sigmoid()
        case .relu: x[0].relu()
        case .gelu: x[0].gelu()
        case .silu: x[0].silu()
        case .abs: x[0].abs()
        case .pow: x[0].pow(try test.number("p"))
        case .clamp: x[0].clamp(min: try test.number("min"), max: try test.number("max"))
        case .sum: x[0].sum(axes: try test.integers("axes"), keepDimensions: try test.integer("keep") == 1)
        case .mean: x[0].mean(axes: try test.integers("axes"), keepDimensions: try test.integer("keep") == 1)
        case .max: x[0].max(axes: try test.integers("axes"), keepDimensions: try test.integer("keep") == 1)
        case .variance: x[0].variance(axes: try test.integers("axes"), keepDimensions: try test.integer("keep") == 1)
        case .matmul:
            test.options["transposed"] == nil ? x[0].matmul(x[1]) : x[0].transposed().matmul(x[1].transposed())
        case .linear:
            NeedletailTensor.linear(
                x[0], weight: x[1], bias: x.count > 2 ? x[2] : nil,
                activation: [Activation.identity, .relu, .gelu][try test.integer("activation")])
        case .softmax: x[0].softmax(axis: try test.integer("axis"))
        case .logSoftmax: x[0].logSoftmax(axis: try test.integer("axis"))
        case .where: Tensor.where(indices[0] .> 0, x[0], x[1])
        case .concatenate: Tensor.concatenate(x, axis: try test.integer("axis"))
        case .stack: Tensor.stack(x, axis: try test.integer("axis"))
        case .gather: x[0].gather(axis: try test.integer("axis"), indices: indices[0])
        case .views: try views(x[0], test)
        case .crossEntropy:
            try NeedletailTensor.crossEntropy(
                x[0], indices[0], classWeights: weights(test), ignoreIndex: try test.integer("ignore"),
                labelSmoothing: try test.number("smoothing"), reduction: reduction(test))
        case .softCrossEntropy:
            try NeedletailTensor.crossEntropy(
                x[0], Tensor(try #require(test.options["targets"]), shape: x[0].shape), classWeights: weights(test),
                labelSmoothing: try test.number("smoothing"), reduction: reduction(test))
        case .nllLoss:
            try NeedletailTensor.nllLoss(
                x[0], indices[0], classWeights: weights(test), ignoreIndex: try test.integer("ignore"),
                reduction: reduction(test))
        case .compare:
            [x[0] .== x[1], x[0] .!= x[1], x[0] .< x[1], x[0] .<= x[1], x[0] .> x[1], x[0] .>= x[1]][
                try test.integer("kind")]
        case .argmax: x[0].argmax(axis: try test.integer("axis"))
        case .layerNorm:
            NeedletailTensor.layerNorm(x[0], weight: x[1], bias: x[2], epsilon: try test.number("epsilon"))
        case .rmsNorm: NeedletailTensor.rmsNorm(x[0], weight: x[1], epsilon: try test.number("epsilon"))
        case .embedding: NeedletailTensor.embedding(x[0], indices[0])
        case .swiGLU: NeedletailTensor.swiGLU(gate: x[0], x[1])
        case .geluTanh: x[0].geluTanh()
        case .geluFeedForward:
            NeedletailTensor.geluFeedForward(
                x[0], innerWeight: x[1], innerBias: x[2], outputWeight: x[3], outputBias: x[4])
        case .rotaryPositions:
            NeedletailTensor.rotaryPositions(
                x[0],
                RotaryAngles(
                    headSize: 2 * (try test.integer("half")), positions: try test.integer("first") + x[0].shape[1]),
                first: try test.integer("first"))
        case .attention:
            scaledDotProductAttention(
                x[0], x[1], x[2], mask: indices[0] .> 0, isCausal: try test.integer("causal") == 1)
        case .selfAttention:
            NeedletailTensor.selfAttention(
                qkv: x[0], heads: try test.integer("heads"), keyHeads: try test.integer("keyHeads"),
                mask: indices[0] .> 0, isCausal: try test.integer("causal") == 1)
        }
    }

    private func views(_ x: Tensor, _ test: ParityCase) throws -> Tensor {
        let part = x.slice(axis: 0, try test.integer("start")..<x.shape[0]).permuted(try test.integers("order"))
        let copies = part.expandedDimension(at: 0).broadcast(to: [2] + part.shape)
        return copies.reshape([2, -1]).transposed(0, 1).expandedDimension(at: 1).squeezed(at: 1)
    }

    private func weights(_ test: ParityCase) -> Tensor? {
        test.options["weights"].map { Tensor($0).cast(to: .float32) }
    }

    private func reduction(_ test: ParityCase) throws -> Reduction {
        [Reduction.mean, .sum, .none][try test.integer("reduction")]
    }
}

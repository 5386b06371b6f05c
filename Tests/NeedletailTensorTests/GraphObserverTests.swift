import NeedletailTensor
import Testing

/// Writes down what it is shown.
private final class Notes: GraphObserver, @unchecked Sendable {
    var forward: [String] = []
    var backward: [String] = []
    var computed: [String] = []
    var received: [[Int]] = []
    private var names: [UInt64: String] = [:]

    func enter(_ module: AnyObject) {}
    func leave() {}

    func forward(_ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?) {
        #expect(output.requiresGradient == (sequence != nil))
        forward.append("\(operation)")
        if computed { self.computed.append("\(operation)") }
        if let sequence { names[sequence] = "\(operation)" }
    }

    func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor]) {
        #expect(names[sequence] == "\(operation)")
        backward.append("\(operation)")
        self.received.append(received.map(\.count))
    }
}

@Suite struct GraphObserverTests {
    private let weight = Parameter(Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]))
    private let bias = Parameter(Tensor([0, 1] as [Float]))

    private func loss() throws -> Tensor {
        let x = Tensor([1, -1, 2, 0.5] as [Float], shape: [2, 2])
        let y = linear(x, weight: weight.value, bias: bias.value, activation: .relu)
        return try crossEntropy(y.transposed() * 2, Tensor([0, 1] as [Int64]))
    }

    /// Operations in their order forward, and reversed backward; nothing of what backward itself computes.
    @Test func operationsAndGradientsAreShownInOrder() throws {
        let notes = Notes()
        try observing(notes) { try loss().backward() }
        #expect(notes.computed == ["linear", "relu", "multiply", "crossEntropy"])
        #expect(notes.backward.filter(notes.computed.contains) == notes.computed.reversed())
        #expect(notes.received.last == [4, 2])  // linear: weight and bias; x has no gradient
    }

    @Test func anObserverChangesNoBit() throws {
        try loss().backward(seed: 3)
        let expected = [weight.gradient, bias.gradient].map { $0?.bytes }
        for parameter in [weight, bias] { parameter.zeroGradient() }
        try observing(Notes()) { try loss().backward(seed: 3) }
        #expect([weight.gradient, bias.gradient].map { $0?.bytes } == expected)
    }

    /// Every public operation shows its own name, with and without gradients.
    @Test func everyOperationHasAName() throws {
        let operations: [(name: String, run: (Tensor) throws -> Tensor)] = [
            ("add", { $0 + $0 }), ("subtract", { $0 - $0 }), ("multiply", { $0 * $0 }), ("divide", { $0 / $0 }),
            ("add", { $0 + 1 }), ("subtract", { 1 - $0 }), ("multiply", { $0 * 2 }), ("divide", { $0 / 2 }),
            ("maximum", { Tensor.maximum($0, $0) }), ("minimum", { Tensor.minimum($0, $0) }), ("negate", { -$0 }),
            ("exp", { $0.exp() }), ("log", { $0.log() }), ("sqrt", { $0.sqrt() }), ("tanh", { $0.tanh() }),
            ("sigmoid", { $0.sigmoid() }), ("silu", { $0.silu() }), ("abs", { $0.abs() }), ("relu", { $0.relu() }),
            ("gelu", { $0.gelu() }), ("pow", { $0.pow(3) }), ("clamp", { $0.clamp(min: 0, max: 1) }),
            ("cast", { $0.cast(to: .float16) }), ("where", { Tensor.where($0 .> 0, $0, $0) }),
            ("concatenate", { Tensor.concatenate([$0, $0]) }), ("matmul", { $0.matmul($0) }),
            ("gather", { $0.gather(axis: 0, indices: Tensor([0, 1, 1, 0] as [Int64], shape: [2, 2])) }),
            ("sum", { $0.sum() }), ("mean", { $0.mean() }), ("max", { $0.max() }), ("softmax", { $0.softmax() }),
            ("logSoftmax", { $0.logSoftmax() }), ("linear", { linear($0, weight: $0) }),
            ("crossEntropy", { try crossEntropy($0, Tensor([0, 1] as [Int64])) }),
        ]
        for (name, run) in operations {
            for x in [weight.value, weight.master] {
                let notes = Notes()
                let result = try observing(notes) { try run(x) }
                #expect(notes.computed == [name])
                #expect(result.requiresGradient == x.requiresGradient)
                let unseen = Notes()
                try withoutGradients { try observing(unseen) { _ = try run(x) } }
                #expect(unseen.computed == [name])
            }
        }
    }
}

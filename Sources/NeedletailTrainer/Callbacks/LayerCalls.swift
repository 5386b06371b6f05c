// What layers are called with: sizes in and out, and how much is computed.
package import NeedletailNN
package import NeedletailTensor

/// One call of a layer.
public struct LayerCall: Sendable, Equatable {
    /// The shape of what went in, and of what came out.
    public let input: [Int], output: [Int]
    /// Floating-point operations, those of layers within it included: 2·m·n·k for a product, one an element for others.
    public let operations: Double
}

/// Remembers the first call of every layer of a forward pass.
///
/// `@unchecked Sendable`: it is made, called and read by the one thread that runs the pass.
package final class LayerCalls: GraphObserver, @unchecked Sendable {
    private struct Running {
        let module: ObjectIdentifier
        var input: [Int]?, output: [Int] = [], operations = 0.0
    }

    private var running: [Running] = []
    private var finished: [ObjectIdentifier: LayerCall] = [:]
    /// Floating-point operations of the whole pass.
    package private(set) var operations = 0.0

    private init() {}

    /// The calls of `body`, a forward pass.
    package convenience init(of body: () throws -> Void) rethrows {
        self.init()
        try observing(self, body)
    }

    /// The first call of a layer; nil where it was not called as `layer(x)`.
    package subscript(module: Module) -> LayerCall? { finished[ObjectIdentifier(module)] }

    package func enter(_ module: AnyObject) { running.append(Running(module: ObjectIdentifier(module))) }

    package func leave() {
        guard let call = running.popLast() else { return }
        if let input = call.input, finished[call.module] == nil {
            finished[call.module] = LayerCall(input: input, output: call.output, operations: call.operations)
        }
    }

    package func forward(
        _ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?
    ) {
        let count = computed ? OperationCost.forward("\(operation)", inputs, output).operations : 0
        operations += count
        for index in running.indices {
            if running[index].input == nil { running[index].input = inputs.first?.shape ?? [] }
            running[index].output = output.shape
            running[index].operations += count
        }
    }

    package func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor]) {}
}

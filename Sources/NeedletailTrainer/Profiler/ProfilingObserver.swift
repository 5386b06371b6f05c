// Takes the time of every operation of a step.
import NeedletailNN
import NeedletailTensor

/// Hands the time between two events to the operation that has ended.
///
/// `@unchecked Sendable`: it is made, called and read by the one thread that trains.
final class ProfilingObserver: GraphObserver, @unchecked Sendable {
    private unowned let profiler: Profiler
    private var names: [ObjectIdentifier: String] = [:]
    private var running: [(name: String, begin: Double)] = []
    /// What is needed of a recorded operation when its gradients are passed on.
    private var recorded: [UInt64: (layer: String, shapes: String, cost: OperationCost)] = [:]
    /// When the last event was.
    var mark = 0.0

    init(_ module: Module, _ profiler: Profiler) {
        self.profiler = profiler
        for (name, module) in module.namedModules() { names[ObjectIdentifier(module)] = name }
    }

    func beginBatch() {
        recorded.removeAll(keepingCapacity: true)
        mark = profiler.now
    }

    func enter(_ module: AnyObject) {
        mark = profiler.now
        running.append((names[ObjectIdentifier(module)] ?? "\(type(of: module))", mark))
    }

    func leave() {
        if let (name, begin) = running.popLast() { profiler.addLayer(name, from: begin) }
        mark = profiler.now
    }

    func forward(_ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?) {
        guard computed else { return }
        let name = "\(operation)"
        let layer = running.last?.name ?? ""
        let shapes =
            profiler.isAdvanced
            ? inputs.map { "\($0.shape)" }.joined(separator: " ") + " \(output.dtype)" : ""
        let cost = OperationCost.forward(name, inputs, output)
        let mark = profiler.add(layer, name, shapes, cost, since: mark)
        if let sequence { recorded[sequence] = (layer, shapes, OperationCost.backward(name, inputs, output)) }
        self.mark = max(mark, profiler.now)
    }

    func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor]) {
        let (layer, shapes, cost) = recorded[sequence] ?? ("", "", OperationCost())
        let name = "\(operation) gradients"
        _ = profiler.add(layer, name, shapes, cost, since: mark)
        mark = profiler.now
    }
}

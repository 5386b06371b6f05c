// Several who look on at once.
import NeedletailTensor

/// Shows everything to each of its members, in the order in which they came.
///
/// `@unchecked Sendable`: it is changed, called and read by the one thread that trains.
final class GraphObservers: GraphObserver, @unchecked Sendable {
    private var members: [any GraphObserver] = []

    var isEmpty: Bool { members.isEmpty }

    func add(_ observer: any GraphObserver) { members.append(observer) }

    func removeAll() { members = [] }

    func remove(_ observer: any GraphObserver) { members.removeAll { $0 === observer } }

    func enter(_ module: AnyObject) {
        for member in members { member.enter(module) }
    }

    func leave() {
        for member in members { member.leave() }
    }

    func forward(_ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?) {
        for member in members { member.forward(operation, inputs, output, computed: computed, sequence: sequence) }
    }

    func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor]) {
        for member in members { member.backward(operation, sequence: sequence, gradient, received: received) }
    }
}

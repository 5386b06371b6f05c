// Parameters that change between forward and backward: backward would compute with other values than forward did.
import Synchronization

/// A parameter's name, for messages; see ``Parameter/name``.
///
/// `@unchecked Sendable`: written only when the parameter is named, which may not run while anything else uses it.
final class ParameterName: @unchecked Sendable {
    var text = ""
    private let shape: [Int]

    init(shape: [Int]) { self.shape = shape }

    /// The parameter as messages call it.
    var description: String {
        text.isEmpty ? "a parameter of shape \(shape) (nameParameters() of its module names it)" : "parameter '\(text)'"
    }
}

/// Counts the changes of a parameter's values in the memory that holds them. That memory points here, and so do operations that need
/// them again.
///
/// `@unchecked Sendable`: `isReplaced` is read and written only by changes of the parameter and by backward, which may not run at
/// the same time.
final class ParameterVersion: @unchecked Sendable {
    let name: ParameterName
    /// How often the values have been changed.
    private let changes = Atomic<Int>(0)
    var count: Int { changes.load(ordering: .relaxed) }
    /// Whether the parameter has other memory now.
    var isReplaced = false

    init(_ name: ParameterName) { self.name = name }

    func countChange() { changes.add(1, ordering: .relaxed) }
}

/// The parameters whose values an operation needs in backward, each with its version when forward used it.
struct UsedParameters {
    private(set) var versions: [(parameter: ParameterVersion, count: Int)] = []
    /// Whether backward reads the parameters anew, so that it needs their memory of then.
    var areReadAgain = false

    /// Those that one of `tensors` shows; constants that were handed out stay as they are and are none.
    init(of tensors: [Tensor] = []) {
        for tensor in tensors where tensor.node != nil || !tensor.isHandedOut {
            if let parameter = tensor.storage.version { insert(parameter) }
        }
    }

    mutating func insert(_ parameter: ParameterVersion) { versions.append((parameter, parameter.count)) }

    mutating func insert(_ others: UsedParameters) { versions += others.versions }

    /// Stops where one has been changed since.
    func check(_ operation: StaticString) {
        for (parameter, count) in versions
        where parameter.count != count || (areReadAgain && parameter.isReplaced) {
            require(
                false,
                "backward: \(parameter.name.description) was changed (by assign, setTypes or an optimizer's step) after '\(operation)' used it, so its gradient "
                    + "would be wrong: call backward before the change, or compute the loss again after it")
        }
    }
}

/// Gathers the parameters that the closure of an operation reads, while it runs.
final class ParameterReads: @unchecked Sendable {
    /// What has been read so far. A closure runs on one thread.
    var used = UsedParameters()
}

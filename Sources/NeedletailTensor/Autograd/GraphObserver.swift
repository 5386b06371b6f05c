// Looking on while a graph is recorded and walked, without changing a bit of it.

/// Is shown every module call, operation and gradient of the closure that it observes, in their order, on its thread.
package protocol GraphObserver: AnyObject, Sendable {
    /// A layer is about to run.
    func enter(_ module: AnyObject)
    /// The layer entered last has run.
    func leave()
    /// An operation has been computed, recorded under `sequence` where an input has a gradient. Views are not `computed`.
    func forward(_ operation: StaticString, _ inputs: [Tensor], _ output: Tensor, computed: Bool, sequence: UInt64?)
    /// The gradient of the operation recorded under `sequence` was passed on: `received` holds, for each input that has a
    /// gradient, all that has arrived there so far.
    func backward(_ operation: StaticString, sequence: UInt64, _ gradient: Tensor, received: [Tensor])
}

/// Runs `body` and shows `observer` what it computes.
package func observing<Result>(_ observer: any GraphObserver, _ body: () throws -> Result) rethrows -> Result {
    var mode = GradientMode.current
    mode.observer = observer
    return try GradientMode.$current.withValue(mode, operation: body)
}

/// Who looks on; nil in normal runs.
package var graphObserver: (any GraphObserver)? { GradientMode.current.observer }

extension Tensor {
    /// Shows a result that is not recorded to the observer, if there is one.
    func observed(_ operation: StaticString, _ inputs: Tensor...) -> Tensor {
        if let observer = GradientMode.current.observer {
            withoutObserver { observer.forward(operation, inputs, self, computed: true, sequence: node?.sequence) }
        }
        return self
    }

    /// What the elements lie in: equal for a tensor and its views.
    package var storageIdentity: ObjectIdentifier { ObjectIdentifier(storage) }
}

/// Runs `body` unseen by the observer that looks on, recorded or not as before.
package func unobserved<Result>(_ body: () throws -> Result) rethrows -> Result {
    guard GradientMode.current.observer != nil else { return try body() }
    return try GradientMode.$current.withValue(
        GradientMode(isRecording: GradientMode.isRecording, observer: nil), operation: body)
}

/// Runs `body`, an observer's look or a backward, without recording and unseen.
func withoutObserver<Result>(_ body: () throws -> Result) rethrows -> Result {
    try GradientMode.$current.withValue(GradientMode(isRecording: false, observer: nil), operation: body)
}

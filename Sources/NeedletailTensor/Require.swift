// Errors of the program (shapes, types, ranges): `precondition` drops its message in release builds, so they stop here.
import Synchronization

/// Stops the program with a message that says what was found and what was expected, in every build. Within
/// ``throwingOperationErrors(_:)`` it is thrown instead.
@inline(__always)
package func require(
    _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    if !condition { stop(message(), file: file, line: line) }
}

/// What ``require(_:_:file:line:)`` does where its condition does not hold.
@inline(never)
package func stop(_ message: String, file: StaticString = #fileID, line: UInt = #line) -> Never {
    guard let context = GuardedThread.context else { fatalError(message, file: file, line: line) }
    Unmanaged<GuardedRun>.fromOpaque(context).takeUnretainedValue().failure = message
    GuardedThread.giveUp()
}

/// What ends the program where memory runs out, if it should say so in its own way; nil: as other errors do.
private let outOfMemoryHandler = Mutex<(@Sendable (String) -> Never)?>(nil)

/// Sets what ends the program where memory runs out: it is given the message.
package func setOutOfMemoryHandler(_ handler: @escaping @Sendable (String) -> Never) {
    outOfMemoryHandler.withLock { $0 = handler }
}

/// Stops the program because memory has run out. Within ``throwingOperationErrors(_:)`` it is thrown instead.
@inline(never)
package func stopOutOfMemory(_ message: String) -> Never {
    if let context = GuardedThread.context {
        let run = Unmanaged<GuardedRun>.fromOpaque(context).takeUnretainedValue()
        (run.failure, run.isOutOfMemory) = (message, true)
        GuardedThread.giveUp()
    }
    if let handler = outOfMemoryHandler.withLock({ $0 }) { handler(message) }
    fatalError(message)
}

/// An operation that was called with shapes, types or values that it does not take, or for which there was no memory.
public struct OperationError: Error, CustomStringConvertible, Equatable {
    /// The operation, what was found and what was expected: the message with which the program would have ended.
    public let message: String
    /// Whether memory ran out; the operation itself was right.
    public let isOutOfMemory: Bool

    /// An error with this message.
    public init(message: String, isOutOfMemory: Bool = false) {
        self.message = message
        self.isOutOfMemory = isOutOfMemory
    }

    /// ``message``.
    public var description: String { message }
}

/// A body that runs on a thread of its own, and why it was given up.
private final class GuardedRun {
    let body: () -> Void
    var failure: String?
    var isOutOfMemory = false

    init(_ body: @escaping () -> Void) { self.body = body }
}

/// Runs `body` and throws what would end the program: calls of operations and layers with shapes, types or values that they do
/// not take. For servers, which must answer a wrong request and go on.
///
///     func answer(_ net: Sequential, _ request: Tensor) -> Tensor? {
///         do { return try throwingOperationErrors { net(request) } } catch { return nil }
///     }
///
/// What `body` returns or throws by itself is passed on, with the bits that it has without this. Gradients are recorded, or not,
/// as around it. It costs a thread, some 50 µs.
///
/// `body` runs on a thread of its own with 16 MiB of stack, since the frames of Swift cannot be unwound: task-local and
/// thread-local values of the caller's own are not there, and the caller waits. After an error that thread is ended where it
/// stands. What its frames hold then (`body`, tensors, a layer's temporaries) is never freed, a `defer` in them never runs, and a
/// lock that they hold is never released; so this is for calls that may be wrong, not for the ordinary course of a program.
/// Errors on threads that `body` itself begins, and those of the standard library (an index out of range), still end the program.
///
/// - Throws: ``OperationError``, and what `body` throws.
public func throwingOperationErrors<Result>(_ body: @escaping () throws -> Result) throws -> Result {
    try operationOutcome(body).get()
}

/// As ``throwingOperationErrors(_:)``, but only what `body` throws by itself is thrown.
package func operationOutcome<Result>(
    _ body: @escaping () throws -> Result
) throws -> Swift.Result<Result, OperationError> {
    var outcome: Swift.Result<Result, any Error>?
    let mode = GradientMode.current
    let run = GuardedRun {
        outcome = Swift.Result { try GradientMode.$current.withValue(mode, operation: body) }
    }
    let hasRun = GuardedThread.run(Unmanaged.passUnretained(run).toOpaque()) { context in
        guard let context else { return }
        Unmanaged<GuardedRun>.fromOpaque(context).takeUnretainedValue().body()
    }
    return try withExtendedLifetime(run) {
        if let failure = run.failure {
            return .failure(OperationError(message: failure, isOutOfMemory: run.isOutOfMemory))
        }
        if let outcome { return .success(try outcome.get()) }
        guard !hasRun else { fatalError("operationOutcome: the body has neither returned nor failed") }
        return .success(try body())  // no thread can be had
    }
}

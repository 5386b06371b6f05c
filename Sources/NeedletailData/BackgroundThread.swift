// A thread that may not be had: Foundation's says nothing where the system refuses one, and whoever waits for it waits for ever.
import Foundation

/// Threads of this package, each with one piece of work.
package enum BackgroundThread {
    /// Runs `body` on a new thread; false where the system has none left (limits of users and containers): nothing has run then.
    ///
    /// The name is seen in debuggers; Linux keeps 15 characters of it.
    package static func start(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
        let work = Unmanaged.passRetained(BackgroundWork(name, body)).toOpaque()
        let isStarted = startThread(work)
        if !isStarted { Unmanaged<BackgroundWork>.fromOpaque(work).release() }
        return isStarted
    }
}

private final class BackgroundWork: Sendable {
    let name: String
    let body: @Sendable () -> Void

    init(_ name: String, _ body: @escaping @Sendable () -> Void) { (self.name, self.body) = (name, body) }
}

/// Starts a detached thread with the stack that threads of Foundation have.
private func startThread(_ work: UnsafeMutableRawPointer) -> Bool {
    var attributes = pthread_attr_t()
    guard pthread_attr_init(&attributes) == 0 else { return false }
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(&attributes, 8 << 20)
    #if canImport(Darwin)
        var thread: pthread_t?
    #else
        var thread = pthread_t()
    #endif
    let status = pthread_create(&thread, &attributes, runWork, work)
    pthread_attr_destroy(&attributes)
    return status == 0
}

private func runWork(_ work: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let work else { return nil }
    let own = Unmanaged<BackgroundWork>.fromOpaque(work).takeRetainedValue()
    Thread.current.name = own.name
    own.body()
    return nil
}

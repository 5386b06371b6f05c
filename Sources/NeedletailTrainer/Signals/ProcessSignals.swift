// What the process was asked to do by signals, and the handlers that write it down.
import Foundation
import Synchronization

/// The signals that runs obey: SIGINT and SIGTERM (end after the step), SIGUSR1 (save and go on).
///
/// A handler only writes to the atomics below, or ends the process. A second SIGINT or SIGTERM, and one that arrives while no
/// run is there to obey it, ends the process at once with 128 + its number; checkpoints take their place by a rename, so
/// nothing half-written is left under a name that anyone reads. Signals that the process ignores or blocks stay so.
package enum ProcessSignals {
    private static let stop = Atomic<Int32>(0)
    private static let save = Atomic<Bool>(false)
    private static let runs = Atomic<Int>(0)
    private static let watches = Atomic<Int>(0)
    private static let handled = [SIGINT, SIGTERM, SIGUSR1]

    /// The signal that asks to end; nil where none has come.
    package static var stopSignal: Int32? {
        let signal = stop.load(ordering: .relaxed)
        return signal == 0 ? nil : signal
    }

    /// Asks what runs to end as `signal` would: for a program whose output nobody takes any more.
    package static func askToEnd(as signal: Int32) {
        _ = stop.compareExchange(expected: 0, desired: signal, ordering: .acquiringAndReleasing)
    }

    /// Whether SIGUSR1 has come since this was last asked.
    static func takeSaveRequest() -> Bool {
        save.load(ordering: .relaxed) && save.exchange(false, ordering: .acquiringAndReleasing)
    }

    /// Runs `body` as something that obeys: the first signal is then written down instead of ending the process.
    static func obeying<R>(_ body: () throws -> R) rethrows -> R {
        try watching {
            runs.add(1, ordering: .acquiringAndReleasing)
            defer { runs.subtract(1, ordering: .acquiringAndReleasing) }
            return try body()
        }
    }

    /// Runs `body` with the handlers in place, and puts back those that were there before.
    package static func watching<R>(_ body: () throws -> R) rethrows -> R {
        guard watches.add(1, ordering: .acquiringAndReleasing).oldValue == 0 else {
            defer { watches.subtract(1, ordering: .acquiringAndReleasing) }
            return try body()  // someone further out watches already
        }
        stop.store(0, ordering: .releasing)
        save.store(false, ordering: .releasing)
        let before = handled.map { (signal: $0, action: replaceHandler(of: $0)) }
        defer {
            for (signal, action) in before {
                guard var action else { continue }
                sigaction(signal, &action, nil)
            }
            watches.subtract(1, ordering: .acquiringAndReleasing)
        }
        return try body()
    }

    /// Puts ``arrived(_:)`` in place; what was there before, nil where the signal is ignored and stays so.
    private static func replaceHandler(of signal: Int32) -> sigaction? {
        var old = sigaction()
        guard sigaction(signal, nil, &old) == 0, !isIgnored(old) else { return nil }
        var new = sigaction()
        sigemptyset(&new.sa_mask)
        new.sa_flags = Int32(SA_RESTART)
        #if canImport(Darwin)
            new.__sigaction_u.__sa_handler = { ProcessSignals.arrived($0) }
        #else
            new.__sigaction_handler.sa_handler = { ProcessSignals.arrived($0) }
        #endif
        sigaction(signal, &new, nil)
        return old
    }

    /// Whether the process was started with the signal ignored, as a shell does for what it runs in the background.
    private static func isIgnored(_ action: sigaction) -> Bool {
        #if canImport(Darwin)
            let handler = action.__sigaction_u.__sa_handler
        #else
            let handler = action.__sigaction_handler.sa_handler
        #endif
        return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// The handler: nothing but atomics and `_exit`, which a handler may use.
    private static func arrived(_ signal: Int32) {
        guard signal != SIGUSR1 else {
            save.store(true, ordering: .releasing)
            return
        }
        guard runs.load(ordering: .acquiring) > 0,
            stop.compareExchange(expected: 0, desired: signal, ordering: .acquiringAndReleasing).exchanged
        else { _exit(128 + signal) }
    }
}

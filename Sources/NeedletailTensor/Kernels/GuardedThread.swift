// A body on a thread of its own that can be given up: what ``throwingOperationErrors(_:)`` stands on.
internal import CSIMD

enum GuardedThread {
    /// The context of the body that runs guarded on the calling thread; nil where none does.
    static var context: UnsafeMutableRawPointer? { csimd_guarded_context() }

    /// Ends the guarded body that runs on the calling thread, abandoning its frames.
    static func giveUp() -> Never { csimd_give_up() }

    /// Runs `body` with `context` on a thread of its own, until it returns or gives up. False where no thread can be had.
    static func run(
        _ context: UnsafeMutableRawPointer, _ body: @convention(c) (UnsafeMutableRawPointer?) -> Void
    ) -> Bool {
        csimd_run_guarded(body, context)
    }
}

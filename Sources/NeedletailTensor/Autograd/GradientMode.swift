// Whether operations record what backward needs, and who looks on: the one ambient mode, and it is scoped by a closure.

struct GradientMode: Sendable {
    /// Whether operations record what backward needs.
    var isRecording = true
    /// Who is shown every operation; nil but for replays and reports.
    var observer: (any GraphObserver)?

    @TaskLocal static var current = GradientMode()

    static var isRecording: Bool { current.isRecording }
}

/// Runs `body` without recording gradients: for evaluation and prediction.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    var mode = GradientMode.current
    mode.isRecording = false
    return try GradientMode.$current.withValue(mode, operation: body)
}

// Whether operations record what backward needs: the one ambient mode, and it is scoped by a closure.

enum GradientMode {
    @TaskLocal static var isRecording = true
}

/// Runs `body` without recording gradients: for evaluation and prediction.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    try GradientMode.$isRecording.withValue(false, operation: body)
}

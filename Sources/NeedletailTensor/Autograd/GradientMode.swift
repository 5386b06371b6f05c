// Whether operations record what backward needs, and who looks on: the one ambient mode, and it is scoped by a closure.

struct GradientMode: Sendable {
    /// Whether operations record what backward needs.
    var isRecording = true
    /// Who is shown every operation; nil but for replays and reports.
    var observer: (any GraphObserver)?
    /// The seed that backward is expected to begin with; nil where nobody knows. Losses form their gradients for it.
    var expectedSeed: Double?
    /// Told of every parameter that is read; nil but for closures that backward runs again.
    var parameterReads: ParameterReads?

    @TaskLocal static var current = GradientMode()

    static var isRecording: Bool { current.isRecording }
}

/// Runs `body` without recording gradients: for evaluation and prediction.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    var mode = GradientMode.current
    mode.isRecording = false
    return try GradientMode.$current.withValue(mode, operation: body)
}

/// Runs `body`, a step's forward pass, whose loss is then walked back with `backward(seed:)` of this seed. A loss may form its
/// gradient with it, so that nothing is left to multiply or round later. Another seed costs time, never exactness.
package func expectingSeed<Result>(_ seed: Double, _ body: () throws -> Result) rethrows -> Result {
    var mode = GradientMode.current
    mode.expectedSeed = seed
    return try GradientMode.$current.withValue(mode, operation: body)
}

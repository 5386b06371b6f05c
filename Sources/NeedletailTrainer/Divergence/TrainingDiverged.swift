// The error that ends a run whose numbers cannot be saved.

/// Training cannot go on: losses or gradients stay non-finite, or the loss scale has reached its floor.
public struct TrainingDiverged: Error, CustomStringConvertible, Equatable {
    /// The first parameter whose gradient was not finite; nil where only the loss was not.
    public let parameter: String?
    /// The loss at the last step.
    public let loss: Double
    /// The loss scale of the last step, 1 in modes without one.
    public let scale: Double
    /// How many steps in a row were skipped, without those before them for which the loss scale stood above its initial value.
    public let consecutiveSkips: Int
    /// Whether the loss scale could not be lowered any further.
    public let scaleExhausted: Bool
    /// The applied steps before it.
    public let globalStep: Int
    /// Where the first non-finite value arose in the last batch, and what to do.
    public let autopsy: Autopsy

    /// What happened in one line, then the autopsy's lines.
    public var description: String { text(naming: [:]) }

    /// The same, with the options' names in `names` and the library's for others.
    public func text(naming names: [String: String]) -> String {
        let what = parameter.map { "the gradient of \($0) is not finite" } ?? "the loss is not finite"
        let applied = globalStep == 1 ? "1 applied step" : "\(globalStep) applied steps"
        let skips = consecutiveSkips == 1 ? "1 step" : "\(consecutiveSkips) steps in a row"
        let floor = scaleExhausted ? ", and the loss scale is at its minimum" : ""
        let autopsy = autopsy.text(naming: names).split(separator: "\n").map { "\n  " + $0 }.joined()
        return "training diverged after \(applied): \(what) (loss \(short(loss))) for \(skips)\(floor)" + autopsy
    }
}

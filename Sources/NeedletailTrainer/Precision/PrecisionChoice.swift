// What the precision flag may say: one of the six modes, or that the trainer is to choose.

/// The precision of a run: a mode, or `auto`.
///
///     let trainer = Trainer(maxEpochs: 3, precision: .auto)
public enum PrecisionChoice: Sendable, Equatable, CustomStringConvertible {
    /// This mode, whatever it costs.
    case mode(Precision)
    /// The fastest of `bf16-mixed` and `16-mixed` where it is not slower than `32-true`, else `32-true`: measured on this
    /// CPU when fit begins, with the run's module, batch and optimizers. A resumed run keeps its checkpoint's mode.
    case auto

    /// What a string names: `auto`, or a mode as ``Precision/init(parsing:)`` has it.
    ///
    /// Throws: ``PrecisionError`` listing what is allowed.
    public init(parsing text: String) throws {
        if text == PrecisionChoice.autoName {
            self = .auto
        } else if let precision = try? Precision(parsing: text) {
            self = .mode(precision)
        } else {
            throw PrecisionError.unknown(text, allowed: PrecisionChoice.allowedNames)
        }
    }

    private static let autoName = "auto"

    /// Every string that ``init(parsing:)`` takes.
    public static var allowedNames: [String] { Precision.allowedNames + [autoName] }

    /// The mode's name, or `auto`.
    public var description: String {
        switch self {
        case .mode(let precision): precision.rawValue
        case .auto: PrecisionChoice.autoName
        }
    }
}

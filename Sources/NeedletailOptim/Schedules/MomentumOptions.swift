// Optimizers whose momentum a schedule may cycle.

/// Options with a momentum, or what takes its place: what ``OneCycle`` cycles.
public protocol MomentumOptions: OptimizerOptions {
    /// The share of the last direction that is kept, in [0, 1).
    var momentum: Double { get set }
}

extension SGD.Options: MomentumOptions {}

extension AdamOptions: MomentumOptions {
    /// Adam's beta1.
    public var momentum: Double {
        get { beta1 }
        set { beta1 = newValue }
    }
}

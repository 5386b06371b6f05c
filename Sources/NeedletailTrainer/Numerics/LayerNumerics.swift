// What was counted of one layer, and under which names.
public import NeedletailTensor

/// The values of one layer over the recorded steps, by binary exponent.
public struct LayerNumerics: Sendable, Equatable {
    /// Which values of a layer.
    public enum Values: String, Sendable, CaseIterable {
        /// The stored parameters before the step.
        case weights
        /// What the layer returned, a fused activation included.
        case activations
        /// Gradients of the layer's result, before its activation, without the loss scale.
        case activationGradients = "activation gradients"
        /// Gradients of the layer's parameters, without the loss scale, not clipped.
        case weightGradients = "weight gradients"
    }

    /// The layer's dotted name; empty for parameters that the model holds itself.
    public let name: String
    /// The layer's class.
    public let type: String
    /// How many parameters it holds, in elements.
    public let parameterCount: Int
    private var histograms: [Values: ExponentHistogram] = [:]

    /// A layer of which nothing has been counted.
    public init(name: String, type: String, parameterCount: Int) {
        self.name = name
        self.type = type
        self.parameterCount = parameterCount
    }

    /// The counts of some values; of none where nothing was seen.
    public package(set) subscript(values: Values) -> ExponentHistogram {
        get { histograms[values] ?? ExponentHistogram() }
        set { histograms[values] = newValue }
    }

    /// The values of which something was counted, in the order of their declaration.
    public var seen: [Values] { Values.allCases.filter { histograms[$0]?.total ?? 0 > 0 } }

    /// Which 16-bit types would hold this layer's values.
    public var recommendation: PrecisionRecommendation { PrecisionRecommendation(for: self) }

    /// The name for people: "(own)" for the model's own parameters.
    var title: String { name.isEmpty ? "(own)" : name }
}

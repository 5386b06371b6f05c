// What a precision mode means for each parameter: stored type, compute type, loss type, with overrides by layer.
public import NeedletailNN
public import NeedletailTensor

/// The types that a run gives to parameters, activations and losses.
///
/// Each parameter is stored in ``storage`` and read by layers in ``compute``; its gradient and the loss have
/// `storage.accumulationType`. An override gives the parameters whose full name matches a pattern another type:
///
///     PrecisionPolicy(.mixedFloat16, overrides: ["head.*": .float32])
public struct PrecisionPolicy: Sendable {
    /// The mode that this policy spells out.
    public let precision: Precision
    /// Overrides; the first whose pattern matches decides.
    public let overrides: [Override]

    /// The policy of a mode, with overrides in order of decreasing priority.
    public init(_ precision: Precision, overrides: PrecisionOverrides = [:]) {
        self.precision = precision
        self.overrides = overrides.list
    }

    /// The type in which parameters are stored and updated.
    public var storage: DType {
        switch precision {
        case .float64: .float64
        case .float32, .mixedBFloat16, .mixedFloat16: .float32
        case .bfloat16: .bfloat16
        case .float16: .float16
        }
    }

    /// The type of inputs and activations, and in which layers read their parameters.
    public var compute: DType {
        switch precision {
        case .float64: .float64
        case .float32: .float32
        case .mixedBFloat16, .bfloat16: .bfloat16
        case .mixedFloat16, .float16: .float16
        }
    }

    /// The type of losses, of reductions and of optimizer state.
    public var loss: DType { storage.accumulationType }

    /// Whether gradients pass through float16 somewhere, so that the loss must be scaled.
    public var needsLossScale: Bool { compute == .float16 || overrides.contains { $0.type == .float16 } }

    /// Whether the mode keeps float32 masters beside 16-bit shadows.
    public var isMixed: Bool { storage != compute }

    /// The stored and the compute type of the parameter called `name`.
    public func types(for name: String) -> (storage: DType, compute: DType) {
        guard let override = overrides.first(where: { matches(name, pattern: $0.pattern) }) else {
            return (storage, compute)
        }
        return (isMixed && override.type.is16Bit ? .float32 : override.type, override.type)
    }

    /// Gives every parameter of `module` its name and its types. A parameter that already has its types keeps its tensors.
    ///
    /// Throws: ``PrecisionError`` where an override matches nothing or asks for a type without gradients.
    public func apply(to module: Module) throws {
        module.nameParameters()
        let named = module.namedParameters()
        for override in overrides {
            guard override.type.isFloatingPoint else {
                throw PrecisionError.notFloatingPoint(pattern: override.pattern, type: override.type.rawValue)
            }
            guard named.contains(where: { matches($0.name, pattern: override.pattern) }) else {
                throw PrecisionError.patternMatchesNothing(pattern: override.pattern, parameters: named.map(\.name))
            }
        }
        for (name, parameter) in named {
            let (storage, compute) = types(for: name)
            if parameter.storageType != storage || parameter.computeType != compute {
                parameter.setTypes(storage: storage, compute: compute)
            }
        }
    }
}

// What a training step died of: the place where the first non-finite value arose, and what can be done.
public import NeedletailTensor

/// The result of running a failing batch again with checks on: which layer, which operation, which numbers.
///
///     do { try trainer.fit(module, train: train) } catch let error as TrainingDiverged {
///         print(error.autopsy.finding?.layer ?? "", error.autopsy.advice)
///     }
public struct Autopsy: Sendable, Equatable {
    /// Where the first non-finite value came from.
    public enum Origin: Sendable, Equatable {
        /// The batch's inputs hold it.
        case input
        /// This parameter holds it, in the type that layers compute with.
        case parameter(String)
        /// An operation made it from values that did not have it.
        case forward
        /// An operation's gradient is the first that has it.
        case backward
    }

    /// The first non-finite value.
    public struct Finding: Sendable, Equatable {
        /// Where it came from.
        public let origin: Origin
        /// The dotted name of the layer; nil where the training step computes outside of layers.
        public let layer: String?
        /// The layer that ran last before, where `layer` is nil.
        public let previousLayer: String?
        /// The operation's name.
        public let operation: String
        /// The type and the shape of the tensor that holds the value.
        public let type: DType, shape: [Int]
        /// The value's indices, and the value: infinite or NaN.
        public let position: [Int], value: Double
        /// The largest finite magnitude in that tensor; of the stored values where the origin is a parameter.
        public let largest: Double
        /// The largest finite magnitude in what the operation read.
        public let largestInput: Double
        /// The largest finite value of the type.
        public var limit: Double { type.largestFinite }
    }

    /// The epoch, from 0.
    public let epoch: Int
    /// The batch of the epoch, from 0.
    public let batch: Int
    /// The first non-finite value; nil where the replay met none.
    public let finding: Finding?
    /// The first parameter, in the optimizer's order, whose gradient was not finite.
    public let parameter: String?
    /// The batch's loss in the replay.
    public let loss: Double
    /// The loss scale; nil in modes without one.
    public let scale: Double?
}

extension DType {
    /// The largest finite value; that of the widest floating-point type for integers.
    var largestFinite: Double {
        switch self {
        case .float16: 65504
        case .bfloat16: 0x1.FEp127
        case .float32: Double(Float.greatestFiniteMagnitude)
        default: .greatestFiniteMagnitude
        }
    }
}

/// The non-finite values of a tensor, and its largest finite magnitude: one slow pass, for tensors that need explaining.
struct Extremes {
    var hasNaN = false, hasInfinity = false, hasNegativeInfinity = false
    var first: (index: Int, value: Double)?
    var largest = 0.0

    init(_ tensor: Tensor) {
        for (index, value) in tensor.scalars(as: Double.self).enumerated() {
            if value.isFinite {
                largest = max(largest, abs(value))
                continue
            }
            if first == nil { first = (index, value) }
            if value.isNaN {
                hasNaN = true
            } else if value > 0 {
                hasInfinity = true
            } else {
                hasNegativeInfinity = true
            }
        }
    }

    /// Whether there is a kind of non-finite value here that none of `others` has.
    func isNew(beside others: [Extremes]) -> Bool {
        hasNaN && !others.contains { $0.hasNaN } || hasInfinity && !others.contains { $0.hasInfinity }
            || hasNegativeInfinity && !others.contains { $0.hasNegativeInfinity }
    }
}

// The optimizers on the command line, and as what a checkpoint keeps of them.
import ArgumentParser
import Needletail

/// An optimizer by name, with its own defaults for everything but the learning rate.
struct OptimizerChoice: RawRepresentable, Codable, Equatable, ExpressibleByArgument {
    private typealias Kind = (name: String, make: @Sendable ([Parameter]) -> Optimizer)

    /// All of them, the default first: a new one is a line here.
    private static let all: [Kind] = [
        ("adam", { Adam($0) }),
        ("adamw", { AdamW($0) }),
        ("sgd", { SGD($0) }),
        ("rmsprop", { RMSprop($0) }),
        ("adagrad", { Adagrad($0) }),
        ("lion", { Lion($0) }),
    ]

    private let kind: Kind

    /// The default.
    init() { kind = Self.all[0] }

    init?(rawValue: String) {
        guard let kind = Self.all.first(where: { $0.name == rawValue }) else { return nil }
        self.kind = kind
    }

    var rawValue: String { kind.name }

    /// What help and errors list.
    static var allValueStrings: [String] { all.map(\.name) }

    /// The optimizer of these parameters.
    func make(_ parameters: [Parameter]) -> Optimizer { kind.make(parameters) }
}

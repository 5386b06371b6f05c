// Text out of a GPT, token by token.
import Foundation
public import NeedletailTensor

/// How the next token is drawn from its distribution.
public struct SamplingOptions: Sendable {
    /// Logits are divided by it; 0 takes the likeliest token.
    public var temperature = 1.0
    /// Only the likeliest so many are drawn from; nil for all.
    public var topK: Int?
    /// Only the likeliest whose probabilities first sum up to so much are drawn from.
    public var topP = 1.0

    /// Draws from the whole distribution.
    public init() {}

    /// The place of the next token among `logits`. The likeliest first, equal ones by number, so that it is the same everywhere.
    public func draw(_ logits: [Float], using generator: inout SeededGenerator) -> Int {
        if temperature == 0 || topK == 1 {
            return logits.indices.reduce(0) { logits[$1] > logits[$0] ? $1 : $0 }
        }
        var order = Array(logits.indices)
        if topK != nil || topP < 1 { order.sort { (-logits[$0], $0) < (-logits[$1], $1) } }
        if let topK, topK < order.count { order.removeLast(order.count - max(1, topK)) }
        let largest = order.map { logits[$0] }.max() ?? 0
        var weights = order.map { exp((Double(logits[$0]) - Double(largest)) / temperature) }
        if topP < 1 {
            let total = weights.reduce(0, +)
            var sum = 0.0, kept = 0
            while kept < weights.count && (kept == 0 || sum < topP * total) {
                sum += weights[kept]
                kept += 1
            }
            weights.removeLast(weights.count - kept)
        }
        var rest = generator.nextUniform() * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            rest -= weight
            if rest < 0 { return order[index] }
        }
        return order[weights.count - 1]
    }

}

extension GPT {
    /// Continues a row of tokens; each new token is handed to `body`, which returns whether to go on.
    ///
    /// Keys and values of the rows so far are kept. Where the context is full the latter half of it is read again, and becomes
    /// the beginning of the next. An empty prompt traps.
    public func generate(
        after prompt: [Int], count: Int, options: SamplingOptions = SamplingOptions(),
        using generator: inout SeededGenerator, _ body: (Int) -> Bool
    ) {
        require(!prompt.isEmpty, "generate: the prompt is empty, expected at least one token")
        let context = configuration.context
        let caches = blocks.map { _ in KeyValueCache(capacity: context) }
        let modes = ModuleState(self).snapshot(.modes)
        evaluate()
        defer { modes.restore() }
        var tokens = Array(prompt.suffix(context)), new = tokens
        withoutGradients {
            for _ in 0..<count {
                if (caches.first?.count ?? tokens.count - new.count) + new.count > context {
                    for cache in caches { cache.removeAll() }
                    tokens = Array(tokens.suffix(max(1, context / 2)))
                    new = tokens
                }
                // A model without blocks keeps nothing, and needs the position of the row alone.
                let x = Tensor(new.map { Int64($0) }, shape: [1, new.count])
                let rows = forward(x, caches: caches)
                let last = rows.slice(axis: 1, new.count - 1..<new.count).reshape([1, configuration.width])
                let token = options.draw(logits(last).scalars(as: Float.self), using: &generator)
                tokens.append(token)
                new = [token]
                if !body(token) { return }
            }
        }
    }
}

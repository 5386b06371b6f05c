// Activation checkpointing of modules: random numbers are drawn again as they were.
public import NeedletailTensor

extension Module {
    /// `body(x)`, whose activations are computed again in backward instead of being kept: less memory for one more forward pass.
    ///
    /// `body` is to compute with this module's parameters alone. Random layers of this module draw the same numbers again. The
    /// result and the gradients have the bits that they have without, but where a parameter's gradient is a sum of several.
    public func checkpointed(_ x: Tensor, _ body: @escaping (Tensor) -> Tensor) -> Tensor {
        let before = randomStates()
        guard !before.isEmpty else { return recomputing(x, body) }
        var isFirst = true
        return recomputing(x) { [self] x in
            if isFirst {
                isFirst = false
                return body(x)
            }
            let now = randomStates()
            restore(before)
            defer { restore(now) }
            return body(x)
        }
    }

    private func restore(_ states: [String: SeededGenerator]) {
        do { try setRandomStates(states) } catch {
            fatalError("checkpointed: the module's layers have changed: \(error)")
        }
    }
}

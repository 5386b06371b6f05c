// Activation checkpointing of modules: what the forward pass changes is not changed again in backward.
public import NeedletailTensor

extension Module {
    /// `body(x)`, whose activations are computed again in backward instead of being kept: less memory for one more forward pass.
    ///
    /// `body` is to compute with this module's parameters alone. In backward it runs with the buffers, random generators
    /// and modes that it had in the forward pass, which are put back afterwards: random layers draw the same numbers
    /// again, and running statistics move once. The result and the gradients have the bits that they have without, but
    /// where a parameter's gradient is a sum of several.
    public func checkpointed(_ x: Tensor, _ body: @escaping (Tensor) -> Tensor) -> Tensor {
        let state = ModuleState(self)
        let before = state.snapshot([.buffers, .generators, .modes])
        var isFirst = true
        return recomputing(x) { x in
            if isFirst {
                isFirst = false
                return body(x)
            }
            let now = state.snapshot([.buffers, .generators, .modes])
            before.restore()
            defer { now.restore() }
            return body(x)
        }
    }
}

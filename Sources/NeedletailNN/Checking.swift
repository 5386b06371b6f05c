// Asking whether a module takes inputs, without ending the program where it does not.
public import NeedletailTensor

extension Module {
    /// Runs `forward`, a pass of this module, and throws what would end the program: shapes, types and values that it does not
    /// take. For modules of your own, whatever they are called with:
    ///
    ///     func answer(_ model: GPT, _ tokens: Tensor) throws -> Tensor {
    ///         try model.check { model(tokens) }
    ///         return model(tokens)
    ///     }
    ///
    /// Nothing is recorded and nothing stays: buffers, random generators, gradients and modes are put back. Other stored
    /// properties that the pass changes are not. What an error leaves behind, and what the pass cannot see of its caller, says
    /// ``throwingOperationErrors(_:)``.
    ///
    /// - Returns: what `forward` returns.
    /// - Throws: ``OperationError``, and what `forward` throws.
    @discardableResult
    public func check<Result>(_ forward: @escaping () throws -> Result) throws -> Result {
        let state = ModuleState(self)
        let before = state.snapshot()
        let observed = state.modules.compactMap { module in module.outputObserver.map { (module, $0) } }
        for (module, _) in observed { module.outputObserver = nil }
        defer {
            for (module, observer) in observed { module.outputObserver = observer }
            before.restore()
        }
        return try unobserved { try withoutGradients { try throwingOperationErrors(forward) } }
    }
}

extension Layer {
    /// Throws where the layer does not take `x`: see ``Module/check(_:)``.
    ///
    ///     func answer(_ net: Sequential, _ x: Tensor) throws -> Tensor {
    ///         try net.check(x)
    ///         return net(x)
    ///     }
    ///
    /// - Throws: ``OperationError``.
    public func check(_ x: Tensor) throws { try check { self.forward(x) } }
}

// What layers have in common: one tensor in, one tensor out.
public import NeedletailTensor

/// A module that maps one tensor to one tensor, and so can stand in a `Sequential`.
public protocol Layer: Module {
    /// The layer's result for `x`.
    func forward(_ x: Tensor) -> Tensor
}

extension Layer {
    /// `layer(x)` is `layer.forward(x)`, and reports can tell that it was this layer.
    public func callAsFunction(_ x: Tensor) -> Tensor { calling { observed(forward(x)) } }
}

extension Module {
    /// Runs `body` as a call of this module: an observer of the graph, if there is one, is told.
    package func calling<Result>(_ body: () throws -> Result) rethrows -> Result {
        guard let observer = graphObserver else { return try body() }
        observer.enter(self)
        defer { observer.leave() }
        return try body()
    }
}

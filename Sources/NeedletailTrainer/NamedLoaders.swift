// One loader, or several with names.
public import NeedletailData

/// The loaders of a validation, a test or a prediction, in their order.
///
///     try trainer.fit(classifier, train: train, validation: ["clean": clean, "noisy": noisy])
///
/// Metrics that are logged on the loader `noisy` get its name: `val_loss` becomes `val_loss/noisy`. A loader by itself has
/// no name, and leaves the metrics' names as they are.
public struct NamedLoaders: ExpressibleByDictionaryLiteral {
    /// Names and loaders.
    public let list: [(name: String, loader: DataLoader)]

    /// One loader, without a name.
    public init(_ loader: DataLoader) { list = [("", loader)] }

    /// Loaders with different names, in this order. A run throws where two names are equal, or one of several is empty.
    public init(_ list: [(name: String, loader: DataLoader)]) { self.list = list }

    /// Loaders with different names, in this order.
    public init(dictionaryLiteral elements: (String, DataLoader)...) {
        self.init(elements.map { (name: $0.0, loader: $0.1) })
    }

    /// What is appended to the names of metrics that are logged on the loader at `index`.
    func suffix(_ index: Int) -> String { list[index].name.isEmpty ? "" : "/" + list[index].name }
}

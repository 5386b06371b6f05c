// Where samples come from.
public import NeedletailTensor

/// Samples that can be fetched by index, from any thread.
public protocol Dataset: Sendable {
    /// The number of samples.
    var count: Int { get }

    /// The samples of these indices, in this order, the inputs in `dtype`. Called on the loader's thread.
    func batch(_ indices: [Int], dtype: DType) throws -> Batch
}

// A long row of tokens, in windows.
public import NeedletailTensor

/// Windows of a text for language models: inputs are `context` tokens, targets the tokens after each of them.
///
/// Sample i begins at token i · stride; what is left at the end of the text is shorter than a window and not used.
public struct TokenDataset: Dataset {
    /// The tokens.
    public let tokens: TokenSequence
    /// Tokens of a window.
    public let context: Int
    /// From one window's beginning to the next one's.
    public let stride: Int

    /// Windows of `tokens`; without a `stride` they lie side by side.
    public init(_ tokens: [Int], context: Int, stride: Int? = nil) {
        self.init(TokenSequence(tokens), context: context, stride: stride)
    }

    /// Windows of `tokens`, whose memory they share, such as a ``TokenizedText``'s; without a `stride` they lie side by side.
    public init(_ tokens: TokenSequence, context: Int, stride: Int? = nil) {
        require(context > 0, "TokenDataset: context is \(context), expected 1 or more")
        require(stride ?? 1 > 0, "TokenDataset: stride is \(stride ?? 0), expected 1 or more")
        self.tokens = tokens
        self.context = context
        self.stride = stride ?? context
    }

    /// The number of windows.
    public var count: Int { tokens.count <= context ? 0 : (tokens.count - context - 1) / stride + 1 }

    /// The windows of these numbers: int64 [windows, context] each, whatever `dtype` says.
    ///
    /// Throws ``DataFileError`` where the tokens are a file's bytes, and the file was changed.
    public func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        var inputs: [Int64] = [], targets: [Int64] = []
        inputs.reserveCapacity(indices.count * context)
        targets.reserveCapacity(indices.count * context)
        for index in indices {
            require((0..<count).contains(index), "TokenDataset: window \(index) is outside 0..<\(count)")
            let window = try tokens[index * stride..<index * stride + context + 1].values()
            inputs += window.dropLast().lazy.map { Int64($0) }
            targets += window.dropFirst().lazy.map { Int64($0) }
        }
        let shape = [indices.count, context]
        return Batch(inputs: Tensor(inputs, shape: shape), targets: Tensor(targets, shape: shape))
    }
}

// Tensors from Swift values, raw bytes, constants and random numbers.

extension Tensor {
    /// A tensor of the given values in row-major order; without a shape, a vector.
    public init<T: TensorScalar>(_ values: [T], shape: [Int]? = nil) { self.init(elements: values, shape: shape) }

    /// A float32 tensor of the given values: what literals of integers give, as in `Tensor([1, 2, 3])`.
    public init(_ values: [Float], shape: [Int]? = nil) { self.init(elements: values, shape: shape) }

    private init<T: TensorScalar>(elements: [T], shape: [Int]?) {
        let shape = shape ?? [elements.count]
        require(
            Shapes.count(shape) == elements.count,
            "Tensor: \(elements.count) values do not fill shape \(shape), which holds \(Shapes.count(shape))")
        self.init(uninitialized: shape, T.dtype)
        elements.withUnsafeBytes { Kernels.copyBytes(from: $0, to: self) }
    }

    /// A scalar.
    public init(_ value: Double, dtype: DType = .float32) {
        self.init(uninitialized: [], dtype)
        Kernels.fill(self, value)
    }

    /// A tensor from raw elements in little-endian, row-major order. For `bool`, any byte but 0 is true.
    public init(bytes: some Collection<UInt8>, shape: [Int], dtype: DType) {
        let expected = Shapes.count(shape) * dtype.byteCount
        require(
            bytes.count == expected,
            "Tensor(bytes:): \(bytes.count) bytes do not fill shape \(shape) of \(dtype), which takes \(expected)")
        self.init(uninitialized: shape, dtype)
        let target = self
        let copied: Void? = bytes.withContiguousStorageIfAvailable {
            Kernels.copyBytes(from: UnsafeRawBufferPointer($0), to: target)
        }
        if copied == nil { Array(bytes).withUnsafeBytes { Kernels.copyBytes(from: $0, to: target) } }
        if dtype == .bool { Kernels.normalizeBooleans(self) }
    }

    /// All elements zero.
    public static func zeros(_ shape: [Int], dtype: DType = .float32) -> Tensor { full(shape, 0, dtype: dtype) }

    /// All elements one.
    public static func ones(_ shape: [Int], dtype: DType = .float32) -> Tensor { full(shape, 1, dtype: dtype) }

    /// All elements the given value, rounded to the type.
    public static func full(_ shape: [Int], _ value: Double, dtype: DType = .float32) -> Tensor {
        let result = Tensor(uninitialized: shape, dtype)
        Kernels.fill(result, value)
        return result
    }

    /// The integers 0, 1, …, count - 1.
    public static func arange(_ count: Int, dtype: DType = .int64) -> Tensor {
        let numbers = Tensor(uninitialized: [count], .int64)
        withMemory(of: numbers.elements(Int64.self)) { for index in $0.indices { $0[index] = Int64(index) } }
        return numbers.cast(to: dtype)
    }

    /// Independent draws from the uniform distribution on a half-open range, in float64, rounded to the type.
    public static func uniform(
        _ shape: [Int], in range: Range<Double>, dtype: DType = .float32, using generator: inout SeededGenerator
    ) -> Tensor {
        let width = range.upperBound - range.lowerBound
        return random(.uniform, shape, range.lowerBound, width, dtype, &generator)
    }

    /// Independent draws from the normal distribution, in float64, rounded to the type.
    public static func normal(
        _ shape: [Int], mean: Double = 0, deviation: Double = 1, dtype: DType = .float32,
        using generator: inout SeededGenerator
    ) -> Tensor {
        random(.normal, shape, mean, deviation, dtype, &generator)
    }

    /// start + scale u of draws u, in the order of the elements, as one by one from the generator.
    private static func random(
        _ distribution: Kernels.Distribution, _ shape: [Int], _ start: Double, _ scale: Double, _ dtype: DType,
        _ generator: inout SeededGenerator
    ) -> Tensor {
        let floating = Tensor(uninitialized: shape, dtype.isFloatingPoint ? dtype : .float64)
        Kernels.random(distribution, from: &generator, start: start, scale: scale, to: floating)
        return floating.cast(to: dtype)
    }
}

// How the values of a tensor are distributed, in buckets that TensorBoard and others draw.
public import NeedletailTensor

/// Counts of values in buckets whose edges are ±(1 + j/8)·2^e for j = 0…7: at most an eighth wide, exact, and the same for
/// every tensor. Sums are in float64; values that are infinite or NaN are counted apart.
public struct Histogram: Sendable, Equatable {
    /// The values above the limit of the bucket before it, up to its own.
    public struct Bucket: Sendable, Equatable {
        /// The upper edge; for values below zero it belongs to the bucket, for others to the next one.
        public let limit: Double
        /// How many values lie in it.
        public let count: Int
    }

    /// The buckets from low to high; one of count 0 stands where a gap ends.
    public let buckets: [Bucket]
    /// How many finite values there are.
    public let count: Int
    /// How many values are infinite or NaN.
    public let nonFinite: Int
    /// The smallest and the largest finite value; 0 where there is none.
    public let minimum: Double, maximum: Double
    /// The sum of the finite values, and of their squares.
    public let sum: Double, sumOfSquares: Double

    /// The histogram of `tensor` times `scale`.
    public init(_ tensor: Tensor, scale: Double = 1) {
        // Sign and magnitude of the first 14 bits of a float64 name the bucket: -(8·e + j + 1), …, -1, 0, …, 8·e + j.
        var counts: [Int: Int] = [:]
        var (count, nonFinite, sum, squares) = (0, 0, 0.0, 0.0)
        var (minimum, maximum) = (Double.infinity, -Double.infinity)
        var (run, runKey) = (0, 0)
        for element in tensor.scalars(as: Double.self) {
            let value = element * scale
            guard value.isFinite else {
                nonFinite += 1
                continue
            }
            count += 1
            sum += value
            squares += value * value
            minimum = min(minimum, value)
            maximum = max(maximum, value)
            let magnitude = Int(value.magnitude.bitPattern >> 49)
            let key = value < 0 ? ~magnitude : magnitude
            if key != runKey {
                if run > 0 { counts[runKey, default: 0] += run }
                (run, runKey) = (0, key)
            }
            run += 1
        }
        if run > 0 { counts[runKey, default: 0] += run }
        var buckets: [Bucket] = []
        for (key, count) in counts.sorted(by: { $0.key < $1.key }) {
            let lower = Self.edge(key)
            if let last = buckets.last, last.limit < lower { buckets.append(Bucket(limit: lower, count: 0)) }
            buckets.append(Bucket(limit: Self.edge(key + 1), count: count))
        }
        self.buckets = buckets
        (self.count, self.nonFinite) = (count, nonFinite)
        (self.minimum, self.maximum) = count == 0 ? (0, 0) : (minimum, maximum)
        (self.sum, sumOfSquares) = (sum, squares)
    }

    /// The lower edge of bucket `key`.
    private static func edge(_ key: Int) -> Double {
        let magnitude = Double(bitPattern: UInt64(key.magnitude) << 49)
        let finite = min(magnitude, .greatestFiniteMagnitude)  // the last bucket ends with the type
        return key < 0 ? -finite : finite
    }
}

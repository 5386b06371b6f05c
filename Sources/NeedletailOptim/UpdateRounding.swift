// How updates are rounded to parameters that are stored in 16 bits.

/// How an optimizer's update is rounded to a parameter stored in bfloat16 or float16 (the modes `bf16-true`, `16-true`).
///
/// Rounded to nearest, an update of less than half the distance to the next 16-bit value is lost, every time: w = 1 in
/// bfloat16 stays 1 after any number of updates of -1e-3. The other two lose nothing in the mean, or nothing at all.
/// Parameters of other types are rounded to nearest whatever is chosen.
public enum UpdateRounding: Sendable, Equatable, Codable {
    /// To nearest, ties to even.
    case nearest
    /// To one of the two neighbours, up with probability (distance from the lower) / (distance between them): the mean of
    /// the stored value is the exact one. Needs no memory.
    ///
    /// The random bits are a hash of the seed, the parameter's name, its step count and the element's index: they depend
    /// neither on threads nor on where a run was interrupted.
    case stochastic(seed: UInt64)
    /// To nearest, but what is lost is kept for each element and added to its next update (Kahan, CACM 8, 1965).
    ///
    /// The compensation is float32, optimizer state as the moments are: the loss of one rounding is at most half an ulp of
    /// the parameter, of which a bfloat16 with its 8 bits would keep too little (updates below 2^-10 ulp would be lost
    /// again), and a float16 nothing at all for weights below 2^-13, where half an ulp is under its least value. It takes 4
    /// bytes an element, as much as a float32 master would: stochastic rounding is the choice where memory counts.
    case kahan
}

/// How many of a step's updates changed nothing because they were smaller than the rounding.
public struct LostUpdates: Sendable, Equatable {
    /// Elements whose update was not zero, and whose stored value (with Kahan's compensation, where there is one) was the
    /// same after it.
    public var lost = 0
    /// Elements of all parameters that the step has updated.
    public var elements = 0

    /// Nothing counted yet.
    public init() {}

    /// lost / elements; 0 where there are none.
    public var share: Double { elements == 0 ? 0 : Double(lost) / Double(elements) }

    /// Counts of two optimizers together.
    public static func + (a: LostUpdates, b: LostUpdates) -> LostUpdates {
        var sum = a
        sum.lost += b.lost
        sum.elements += b.elements
        return sum
    }
}

/// The key of one parameter's random bits at one step: 64-bit FNV-1a of the name, then the finalizer of SplitMix64 over it
/// with seed and step mixed in, so that keys of neighbouring seeds and steps have nothing in common.
func randomKey(seed: UInt64, name: String, step: Int) -> UInt64 {
    func mixed(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return mixed(mixed(mixed(seed) ^ hash) ^ UInt64(step))
}

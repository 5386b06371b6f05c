// Lending tensors' memory to a kernel: the only place where tensors become pointers.

/// What can lend its memory: a tensor, one that may be missing, or the elements of one.
protocol MemoryOwner {
    associatedtype Memory
    /// Valid only while the owner lives. Read by ``withMemory(of:in:)`` alone.
    var unownedMemory: Memory { get }
}

/// Calls `body` with the memory of the owners, which live until it returns. Memory must not leave `body`.
///
/// A pointer does not keep a tensor alive, and the optimiser may release one after its last use as a value, before the call
/// that was given its address: its block would go back to the pool, and to the loader's thread from there.
///
/// One function a number of owners, because one with a parameter pack retains each owner: 7% of the tutorial's training step.
@inline(__always)
func withMemory<A: MemoryOwner, Result>(
    of a: A, in body: (A.Memory) throws -> Result
) rethrows -> Result {
    defer { extendLifetime(a) }
    return try body(a.unownedMemory)
}

@inline(__always)
func withMemory<A: MemoryOwner, B: MemoryOwner, Result>(
    of a: A, _ b: B, in body: (A.Memory, B.Memory) throws -> Result
) rethrows -> Result {
    try withMemory(of: a) { first in try withMemory(of: b) { try body(first, $0) } }
}

@inline(__always)
func withMemory<A: MemoryOwner, B: MemoryOwner, C: MemoryOwner, Result>(
    of a: A, _ b: B, _ c: C, in body: (A.Memory, B.Memory, C.Memory) throws -> Result
) rethrows -> Result {
    try withMemory(of: a) { first in try withMemory(of: b, c) { try body(first, $0, $1) } }
}

@inline(__always)
func withMemory<A: MemoryOwner, B: MemoryOwner, C: MemoryOwner, D: MemoryOwner, Result>(
    of a: A, _ b: B, _ c: C, _ d: D, in body: (A.Memory, B.Memory, C.Memory, D.Memory) throws -> Result
) rethrows -> Result {
    try withMemory(of: a) { first in try withMemory(of: b, c, d) { try body(first, $0, $1, $2) } }
}

@inline(__always)
func withMemory<A: MemoryOwner, B: MemoryOwner, C: MemoryOwner, D: MemoryOwner, E: MemoryOwner, Result>(
    of a: A, _ b: B, _ c: C, _ d: D, _ e: E,
    in body: (A.Memory, B.Memory, C.Memory, D.Memory, E.Memory) throws -> Result
) rethrows -> Result {
    try withMemory(of: a) { first in try withMemory(of: b, c, d, e) { try body(first, $0, $1, $2, $3) } }
}

@inline(__always)
func withMemory<A: MemoryOwner, B: MemoryOwner, C: MemoryOwner, D: MemoryOwner, E: MemoryOwner, F: MemoryOwner, Result>(
    of a: A, _ b: B, _ c: C, _ d: D, _ e: E, _ f: F,
    in body: (A.Memory, B.Memory, C.Memory, D.Memory, E.Memory, F.Memory) throws -> Result
) rethrows -> Result {
    try withMemory(of: a) { first in try withMemory(of: b, c, d, e, f) { try body(first, $0, $1, $2, $3, $4) } }
}

@inline(__always)
func withMemory<
    A: MemoryOwner, B: MemoryOwner, C: MemoryOwner, D: MemoryOwner, E: MemoryOwner, F: MemoryOwner, G: MemoryOwner,
    Result
>(
    of a: A, _ b: B, _ c: C, _ d: D, _ e: E, _ f: F, _ g: G,
    in body: (A.Memory, B.Memory, C.Memory, D.Memory, E.Memory, F.Memory, G.Memory) throws -> Result
) rethrows -> Result {
    try withMemory(of: a) { first in try withMemory(of: b, c, d, e, f, g) { try body(first, $0, $1, $2, $3, $4, $5) } }
}

extension Tensor: MemoryOwner {
    /// The address of the first element.
    var unownedMemory: UnsafeMutableRawPointer { storage.pointer + offset * dtype.byteCount }
}

extension Optional: MemoryOwner where Wrapped == Tensor {
    var unownedMemory: UnsafeMutableRawPointer? { self?.unownedMemory }
}

extension Array: MemoryOwner where Element == Tensor {
    var unownedMemory: [UnsafeRawPointer?] { map { UnsafeRawPointer($0.unownedMemory) } }
}

/// A contiguous tensor that lends its memory as elements of type T.
struct TensorElements<T: TensorScalar>: MemoryOwner {
    fileprivate let tensor: Tensor

    var unownedMemory: UnsafeMutableBufferPointer<T> {
        UnsafeMutableBufferPointer(
            start: tensor.unownedMemory.assumingMemoryBound(to: T.self), count: tensor.count)
    }
}

extension Tensor {
    /// This contiguous tensor, to be lent as elements of its type.
    func elements<T: TensorScalar>(_ type: T.Type) -> TensorElements<T> {
        assert(isContiguous && T.dtype == dtype)
        return TensorElements(tensor: self)
    }
}

// Bytes that a reader puts where they stay: a file of images is as large as all that a small run needs besides.

extension Tensor {
    /// A uint8 tensor of `shape` whose bytes `fill` writes, all of them unless it throws.
    ///
    /// Large ones are read into fresh pages once, instead of into an array that is then copied.
    package init(bytesOfShape shape: [Int], fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        self.init(uninitialized: shape, .uint8)
        try withMemory(of: self) { try fill(UnsafeMutableRawBufferPointer(start: $0, count: byteCount)) }
    }
}

// IDX files as the tests need them.

enum IDXFixture {
    /// A file's content: header from `type` (its code) and `shape`, then `elements` as they are.
    static func file(_ type: UInt8, _ shape: [Int], _ elements: [UInt8]) -> [UInt8] {
        [0, 0, type, UInt8(shape.count)] + shape.flatMap { bigEndian(UInt64($0), 4) } + elements
    }

    /// Unsigned bytes.
    static func bytes(_ shape: [Int], _ elements: [UInt8]) -> [UInt8] { file(8, shape, elements) }

    /// The lowest `count` bytes of `value`, highest first.
    static func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
}

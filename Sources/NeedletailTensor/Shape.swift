// Shapes and strides are plain [Int], row-major, strides in elements. Here is their arithmetic.

/// A shape that does not fit: what was found, what was expected, and what to do.
public struct ShapeError: Error, CustomStringConvertible, Equatable {
    /// The shape that was given.
    public let found: [Int]
    /// The shape that was needed.
    public let expected: [Int]
    /// Where, and what to do.
    public let message: String

    /// An error about `found` where `expected` was needed.
    public init(found: [Int], expected: [Int], message: String) {
        self.found = found
        self.expected = expected
        self.message = message
    }

    /// The message with both shapes.
    public var description: String { "\(message): found shape \(found), expected \(expected)" }
}

enum Shapes {
    /// Number of elements. Traps where the product does not fit.
    static func count(_ shape: [Int]) -> Int {
        var product = 1
        for size in shape {
            require(size >= 0, "shape \(shape) has a negative size")
            let (next, overflows) = product.multipliedReportingOverflow(by: size)
            require(!overflows, "shape \(shape) has more elements than memory can have")
            product = next
        }
        return product
    }

    static func contiguousStrides(_ shape: [Int]) -> [Int] {
        var strides = shape
        var step = 1
        for axis in stride(from: shape.count - 1, through: 0, by: -1) {
            strides[axis] = step
            step *= max(shape[axis], 1)
        }
        return strides
    }

    static func isContiguous(_ shape: [Int], _ strides: [Int]) -> Bool {
        var step = 1
        for axis in stride(from: shape.count - 1, through: 0, by: -1) {
            if shape[axis] == 0 { return true }
            if shape[axis] != 1 && strides[axis] != step { return false }
            step *= shape[axis]
        }
        return true
    }

    /// The common shape of two operands: aligned at the last axis, sizes equal or one of them 1. Nil where there is none.
    static func broadcast(_ a: [Int], _ b: [Int]) -> [Int]? {
        if a == b { return a }
        let rank = max(a.count, b.count)
        var result = [Int](repeating: 1, count: rank)
        for axis in 0..<rank {
            let sizeA = axis < rank - a.count ? 1 : a[axis - (rank - a.count)]
            let sizeB = axis < rank - b.count ? 1 : b[axis - (rank - b.count)]
            guard sizeA == sizeB || sizeA == 1 || sizeB == 1 else { return nil }
            result[axis] = sizeA == 1 ? sizeB : sizeA
        }
        return result
    }

    /// `axis` counted from the end where negative. Traps, naming the shape, where there is no such axis.
    static func axis(_ axis: Int, of shape: [Int], _ operation: StaticString) -> Int {
        let resolved = axis < 0 ? axis + shape.count : axis
        require(
            resolved >= 0 && resolved < shape.count, "\(operation): axis \(axis) does not exist in shape \(shape)")
        return resolved
    }

    /// Axes as a sorted list without repetition; nil means all.
    static func axes(_ axes: [Int]?, of shape: [Int], _ operation: StaticString) -> [Int] {
        guard let axes else { return Array(shape.indices) }
        let resolved = Set(axes.map { axis($0, of: shape, operation) })
        require(resolved.count == axes.count, "\(operation): axes \(axes) repeat one of shape \(shape)")
        return resolved.sorted()
    }
}

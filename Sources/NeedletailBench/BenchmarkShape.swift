// Shapes as text: `MxNxK`, with a layout and a label where they say more.
import Foundation
import NeedletailFiles

/// How the operands of a matrix product are stored: N row by row as the product takes them, T transposed.
package enum MatrixLayout: String, CaseIterable, Sendable {
    case nn = "NN"
    case nt = "NT"
    case tn = "TN"
    case tt = "TT"
}

/// One shape: sizes, and for matrix products a layout.
///
/// Text: `64x128x784`, `64x128x784/NT`. In a file also a label after it: `1024x2304x768/NT attention qkv`.
package struct BenchmarkShape: Hashable, Sendable {
    package var sizes: [Int]
    package var layout: MatrixLayout?
    package var label = ""

    package init(_ sizes: [Int], _ layout: MatrixLayout? = nil, label: String = "") {
        self.sizes = sizes
        self.layout = layout
        self.label = label
    }

    /// Reads one shape; its label is empty.
    package init(parsing text: some StringProtocol) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let numbers = (parts.first ?? "").split(separator: "x", omittingEmptySubsequences: false)
        let sizes = numbers.compactMap { number in
            number.allSatisfy { $0.isASCII && $0.isNumber } ? Int(number) : nil
        }
        guard sizes.count == numbers.count, sizes.allSatisfy({ (1...Self.largestSize).contains($0) }) else {
            throw BenchmarkError(
                "shape '\(text)': expected numbers from 1 to \(Self.largestSize) with x between them, such as 64x128x784"
            )
        }
        self.init(sizes)
        guard parts.count > 1 else { return }
        let allowed = MatrixLayout.allCases.map(\.rawValue).joined(separator: ", ")
        guard parts.count == 2, let layout = MatrixLayout(rawValue: String(parts[1])) else {
            throw BenchmarkError("shape '\(text)': expected one of \(allowed) after the /, such as 64x128x784/NT")
        }
        guard sizes.count == 3 else {
            throw BenchmarkError("shape '\(text)': found a layout, expected it only with the MxNxK of a matrix product")
        }
        self.layout = layout
    }

    /// More than this in one direction is a slip of the finger.
    package static let largestSize = 1 << 31

    /// The shape's text, without its label.
    package var text: String {
        sizes.map(String.init).joined(separator: "x") + (layout.map { "/" + $0.rawValue } ?? "")
    }

    /// The shapes of `--shapes`: a list with commas between them, or the path of a file.
    ///
    /// What begins with a digit and holds digits, x, commas and slashes with layouts only is a list; everything else a path.
    package static func list(_ argument: String) throws -> [BenchmarkShape] {
        let isList = argument.first?.isNumber == true && argument.allSatisfy { "0123456789x,/NT".contains($0) }
        if !isList { return try file(argument) }
        return try argument.split(separator: ",", omittingEmptySubsequences: false).map {
            try BenchmarkShape(parsing: $0)
        }
    }

    /// The shapes of a text file: one a line, a label after it; what follows # is a comment.
    package static func file(_ path: String) throws -> [BenchmarkShape] {
        guard let text = RegularFile.text(of: FilePath(path)) else {
            throw BenchmarkError(
                "--shapes \(path): neither a readable text file nor shapes such as 64x128x784,256x256x256")
        }
        return try lines(text, name: path)
    }

    /// The shapes of a file's text; `name` is what errors call it.
    package static func lines(_ text: String, name: String) throws -> [BenchmarkShape] {
        var shapes: [BenchmarkShape] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
            guard let first = words.first else { continue }
            do {
                var shape = try BenchmarkShape(parsing: first)
                shape.label = words.dropFirst().joined(separator: " ")
                shapes.append(shape)
            } catch let error as BenchmarkError {
                throw BenchmarkError("\(name), line \(index + 1): \(error.description)")
            }
        }
        guard !shapes.isEmpty else { throw BenchmarkError("\(name): found no shapes, expected one a line") }
        return shapes
    }
}

/// What stands against a benchmark run or a comparison: found, expected, what to do.
package struct BenchmarkError: Error, CustomStringConvertible, Equatable {
    package let description: String

    package init(_ description: String) { self.description = description }
}

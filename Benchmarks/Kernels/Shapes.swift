// The shapes files that `needletail bench` reads, too.
import Foundation

/// One matrix product of a model.
struct Shape {
    let name: String
    let m: Int, n: Int, k: Int
    let aIsTransposed: Bool, bIsTransposed: Bool

    var operations: Double { 2 * Double(m) * Double(n) * Double(k) }

    /// All products of Benchmarks/Shapes/`file`.txt; a line is `MxNxK/LAYOUT label`.
    static func read(_ file: String) -> [Shape] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Shapes/\(file).txt")
        guard let text = try? String(contentsOf: path, encoding: .utf8) else {
            fatalError("\(path.path) cannot be read")
        }
        return text.split(separator: "\n").compactMap { line in
            let words = line.prefix { $0 != "#" }.split(separator: " ")
            guard let first = words.first else { return nil }
            let parts = first.split(separator: "/")
            let sizes = parts[0].split(separator: "x").compactMap { Int($0) }
            guard parts.count == 2, sizes.count == 3, parts[1].count == 2 else {
                fatalError("\(path.path): '\(line)', expected MxNxK/LAYOUT and a label")
            }
            return Shape(
                name: "\(file) \(first)", m: sizes[0], n: sizes[1], k: sizes[2], aIsTransposed: parts[1].hasPrefix("T"),
                bIsTransposed: parts[1].hasSuffix("T"))
        }
    }
}

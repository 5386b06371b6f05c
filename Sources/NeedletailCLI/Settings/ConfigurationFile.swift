// `--config FILE`: options by name in YAML or JSON.
import Foundation
import Needletail
import Yams

/// The values of a configuration file: a mapping from options' names to a value or a list of values.
struct ConfigurationFile {
    let path: String
    /// The values as text, by the options' names; none for a key without a value.
    let values: [String: [String]]

    /// Reads the file, whose keys must be among `allowed`.
    ///
    /// Throws: ``CommandError`` naming the line of what cannot be.
    init(_ path: String, allowed: [String]) throws {
        self.path = path
        guard let data = FileManager.default.contents(atPath: path), data.count <= 1 << 20,
            let text = String(data: data, encoding: .utf8)
        else {
            throw CommandError.data("--config \(path): found no text of at most 1 MB, expected YAML or JSON")
        }
        let node: Node?
        do { node = try Yams.compose(yaml: text) } catch {
            let message = "\(error)".split(separator: "\n").joined(separator: " ")
            throw CommandError.data("--config \(path): neither YAML nor JSON: \(message)")
        }
        guard let node else {  // nothing but comments
            values = [:]
            return
        }
        guard case .mapping(let mapping) = node else {
            throw CommandError.data("--config \(path): found no mapping, expected lines such as 'epochs: 3'")
        }
        var values: [String: [String]] = [:]
        for (key, value) in mapping {
            let place = "--config \(path), line \(key.mark?.line ?? 0)"
            guard case .scalar(let name) = key, allowed.contains(name.string) else {
                let found =
                    if case .scalar(let name) = key { "'\(name.string.prefix(100))'" } else { "a key that is no word" }
                throw CommandError.usage(
                    "\(place): found \(found), expected one of \(allowed.sorted().joined(separator: ", "))")
            }
            switch value {
            case .scalar(let scalar): values[name.string] = Self.isNull(scalar) ? [] : [scalar.string]
            case .sequence(let list):
                values[name.string] = try list.map { element in
                    guard case .scalar(let scalar) = element else {
                        throw CommandError.usage(
                            "\(place): found a list within the list of \(name.string), expected values")
                    }
                    return scalar.string
                }
            default:
                throw CommandError.usage("\(place): found a mapping under \(name.string), expected a value or a list")
            }
        }
        self.values = values
    }

    private static func isNull(_ scalar: Node.Scalar) -> Bool {
        scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
    }
}

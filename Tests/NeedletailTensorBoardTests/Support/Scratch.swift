// A folder that goes away with its owner.
import Foundation

final class Scratch {
    let path = NSTemporaryDirectory() + "/needletail-" + UUID().uuidString

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A path within the folder.
    func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// All files below the folder, by relative path.
    var files: [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []).filter { $0.contains("tfevents") }.sorted()
    }

    /// The events of the file at a relative path.
    func events(_ name: String) throws -> EventReader {
        EventReader([UInt8](try Data(contentsOf: URL(fileURLWithPath: self(name)))))
    }
}

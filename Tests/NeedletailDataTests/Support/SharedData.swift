// Real data that may lie beside the checkout or on the system; tests that need them are skipped where they do not.
import Foundation

enum SharedData {
    /// ../shared/data/mnist, seen from the package's root.
    static let mnist = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("shared/data/mnist").path

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

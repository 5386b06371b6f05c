// A place for a test's files.
import Foundation

/// A new empty folder, removed when `body` has run.
func withTemporaryFolder<R>(_ body: (_ path: String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("needletail-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.path)
}

// Files that Python wrote (Fixtures/generate.py).
import Foundation
import Testing

/// The path of a file in Fixtures.
func fixturePath(_ name: String) throws -> String {
    try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: "safetensors")).path
}

/// A new empty folder, removed when `body` has run.
func withTemporaryFolder<R>(_ body: (_ path: String) throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("needletail-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    return try body(folder.path)
}

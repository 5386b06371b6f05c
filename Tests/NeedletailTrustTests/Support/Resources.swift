// What a piece of code takes: time, and how far the process's resident memory rises.
import Foundation

enum Resources {
    /// Runs `body`; the seconds it took and the bytes by which resident memory at its highest stood above where it began
    /// (0 where the system does not tell).
    static func measure(_ body: () throws -> Void) rethrows -> (seconds: Double, growth: Int) {
        // Sets the peak back to the present value.
        let isReset = (try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))) != nil
        let before = status("VmRSS")
        let start = ContinuousClock.now
        try body()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        guard isReset, let before, let after = status("VmHWM") else { return (seconds, 0) }
        return (seconds, after - before)
    }

    /// A line of /proc/PID/status; in bytes where it is in kB.
    static func status(_ key: String, of process: String = "self") -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix(key + ":") }
        let words = line?.split(whereSeparator: \.isWhitespace) ?? []
        guard words.count > 1, let value = Int(words[1]) else { return nil }
        return words.last == "kB" ? value * 1024 : value
    }
}

/// A folder that goes away with its owner.
final class Scratch {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("needletail-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A path within the folder.
    func callAsFunction(_ name: String) -> String { path + "/" + name }

    /// The names in a folder within, hidden ones too, sorted.
    func names(in folder: String = "") -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: self(folder))) ?? []).sorted()
    }
}

/// The bytes of a file; empty where there is none.
func contents(_ path: String) -> [UInt8] {
    (try? Data(contentsOf: URL(fileURLWithPath: path))).map { [UInt8]($0) } ?? []
}

/// Writes a file.
func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

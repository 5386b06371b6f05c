// What the operating system says of this process: how long it has run and how much memory it has used.
import Foundation
import NeedletailFiles

enum ProcessMeasurements {
    /// Seconds since the process started, dynamic linking included.
    ///
    /// From /proc/self/stat (its 22nd field, in clock ticks since boot, so to a hundredth of a second), or from the first
    /// call of this property where there is no /proc.
    static var secondsSinceStart: Double {
        bootSeconds() - processStart
    }

    private static let processStart: Double = {
        guard let stat = RegularFile.text(of: "/proc/self/stat"),
            let endOfName = stat.lastIndex(of: ")")
        else { return bootSeconds() }
        // The name in parentheses may hold spaces; the fields after it start with the third.
        let fields = stat[endOfName...].split(separator: " ").dropFirst()
        guard fields.count > 19, let ticks = Double(fields[fields.startIndex + 19]) else { return bootSeconds() }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }()

    private static func bootSeconds() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return Double(now.tv_sec) + 1e-9 * Double(now.tv_nsec)
    }

    /// The largest resident set so far, in bytes; nil where there is no /proc.
    ///
    /// Not getrusage's figure: that one starts at what the parent process had when it started this one.
    static var peakResidentBytes: Int? {
        guard let status = RegularFile.text(of: "/proc/self/status") else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first
        return kilobytes.flatMap { Int($0) }.map { $0 * 1024 }
    }
}

// What training shows on a terminal whose width changes, and in a file.
import Foundation
import Testing

@Suite struct TerminalTests {
    /// A terminal of so many columns: our end, and the one for a process.
    private func makeTerminal(columns: UInt16) throws -> (ours: Int32, theirs: Int32) {
        // Swift's Glibc shows neither posix_openpt nor unlockpt: these are what they do on Linux.
        let ours = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var lock: Int32 = 0, number: UInt32 = 0
        let (unlock, askForNumber) = (UInt(0x4004_5431), UInt(0x8004_5430))  // TIOCSPTLCK, TIOCGPTN
        guard ours >= 0, ioctl(ours, unlock, &lock) == 0, ioctl(ours, askForNumber, &number) == 0 else {
            throw POSIXError(.ENODEV)
        }
        let theirs = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard theirs >= 0 else { throw POSIXError(.ENODEV) }
        resize(ours, columns)
        return (ours, theirs)
    }

    private func resize(_ terminal: Int32, _ columns: UInt16) {
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
    }

    /// What comes from the terminal within so many seconds.
    private func read(_ terminal: Int32, seconds: Double) -> String {
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 65_536)
        let start = ContinuousClock.now
        while (ContinuousClock.now - start) / .seconds(1) < seconds {
            var place = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            guard poll(&place, 1, 20) > 0 else { continue }
            let count = Foundation.read(terminal, &chunk, chunk.count)
            if count <= 0 { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// No line is longer than the terminal is wide, before and after it became narrower and wider again.
    @Test func noLineWrapsOnATerminalThatChanges() throws {
        let (ours, theirs) = try makeTerminal(columns: 150)
        defer { for end in [ours, theirs] { close(end) } }
        let run = try SpawnedNeedletail(
            "train --batch-size 2 --epochs 1000000 --validation 100", output: .terminal(theirs))
        for columns in [150, 37, 90, 5] as [UInt16] {
            resize(ours, columns)
            _ = read(ours, seconds: 0.3)  // what was on its way
            // The first piece may have been cut by that.
            let lines = read(ours, seconds: 1).split { ["\r", "\n", "\r\n"].contains($0) }
                .dropFirst()
            #expect(lines.count > 5, "\(columns) columns: \(lines)")
            for line in lines { #expect(line.count <= Int(columns), "\(columns) columns: \(line)") }
        }
        run.send(SIGTERM)
        #expect(run.wait().status == 143, "\(run.complaint)")
    }
}

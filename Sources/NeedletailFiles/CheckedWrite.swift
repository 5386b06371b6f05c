// Writing to a descriptor so that nothing is lost without a word.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes of bytes to descriptors, in as many system calls as they take.
package enum CheckedWrite {
    /// Writes `bytes`; returns how many were written and, where those are not all, the system's error number.
    ///
    /// A descriptor that does not block (a pipe or terminal that another program has set so) is waited for.
    package static func all(_ bytes: [UInt8], to descriptor: Int32) -> (written: Int, problem: Int32?) {
        bytes.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
                if count > 0 {
                    written += count
                } else if count < 0, errno == EAGAIN || errno == EWOULDBLOCK {
                    var place = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&place, 1, -1)
                } else if count == 0 || errno != EINTR {
                    return (written, count == 0 ? EIO : errno)
                }
            }
            return (written, nil)
        }
    }

    /// Why the descriptor takes nothing, as far as can be told without writing to it; nil where it may.
    package static func refusal(of descriptor: Int32) -> Int32? {
        var nothing: UInt8 = 0
        return write(descriptor, &nothing, 0) < 0 && errno != EINTR && errno != EAGAIN ? errno : nil
    }

    /// Appends `bytes` to a file; returns the system's error number where it cannot, else nil.
    ///
    /// What was written of them is then taken back, so that a full disk leaves whole pieces: all of it or, where
    /// `keepingLines`, what comes after the last end of a line. A pipe or a device keeps what it has been given.
    package static func append(_ bytes: [UInt8], to descriptor: Int32, keepingLines: Bool) -> Int32? {
        let (written, problem) = all(bytes, to: descriptor)
        guard let problem, written > 0 else { return problem }
        let newline = keepingLines ? bytes[..<written].lastIndex(of: UInt8(ascii: "\n")) : nil
        let kept = newline.map { $0 + 1 } ?? 0
        var status = stat()
        let own = lseek(descriptor, 0, SEEK_CUR)
        guard kept < written, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, own >= written,
            // Where somebody else has appended meanwhile, what stands at the end is not ours to take back.
            lseek(descriptor, 0, SEEK_END) == own
        else { return problem }
        _ = ftruncate(descriptor, own - off_t(written - kept))
        return problem
    }
}

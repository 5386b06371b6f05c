// Whether two paths mean one file.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// What a path leads to: a file that is there by its number, one that is not by its folder's and its name.
package struct OutputIdentity: Hashable, Sendable {
    private let device: UInt64
    private let number: UInt64
    private let rest: [FilePath]

    /// The identity of what stands, or would be made, at `path`; nil where its links lead in a circle.
    package init?(_ path: String) {
        guard let end = try? LinkTarget(of: FilePath(path)) else { return nil }
        if let descriptor = end.descriptor {
            guard let identity = OutputIdentity(descriptor: descriptor) else { return nil }
            self = identity
            return
        }
        var status = stat()
        var rest: [FilePath] = []
        var there = end.path
        while stat(there.terminated, &status) != 0 {
            if there.name == ".." { _ = rest.popLast() } else if there.name != "." { rest.insert(there.name, at: 0) }
            guard there.parent != there, rest.count < 1000 else { break }
            there = there.parent
        }
        (device, number, self.rest) = (UInt64(status.st_dev), UInt64(status.st_ino), rest)
    }

    /// The identity of what a descriptor is open on; nil where it is closed.
    package init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        (device, number, rest) = (UInt64(status.st_dev), UInt64(status.st_ino), [])
    }

    /// Whether it is the device that forgets everything, to which anyone may write.
    package static func isNull(_ path: String) -> Bool { OutputIdentity(path) == OutputIdentity("/dev/null") }
}

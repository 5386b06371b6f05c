// What the process was started with. The only place that reads arguments and the environment.

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    @preconcurrency import Darwin
#endif

/// The arguments and the environment, as the texts of their bytes (``FilePath/text``): both may hold paths, and Swift's own
/// `CommandLine.arguments` replaces bytes that are no UTF-8.
package enum ProcessSurroundings {
    /// The arguments after the command's name.
    package static var arguments: [String] {
        (0..<Int(CommandLine.argc)).dropFirst().compactMap { index in
            CommandLine.unsafeArgv[index].map { text(of: $0) }
        }
    }

    /// The value of an environment variable; nil where it is not set.
    package static func variable(_ name: String) -> String? { getenv(name).map { text(of: $0) } }

    /// Sets a variable for this process, its libraries and what it starts.
    package static func setVariable(_ name: String, _ value: String) {
        setenv(name, FilePath(value).terminated, 1)
    }

    /// All environment variables.
    package static var variables: [String: String] {
        var all: [String: String] = [:]
        var next: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = environ
        while let entry = next?.pointee {
            let pair = text(of: entry)
            if let equal = pair.utf8.dropFirst().firstIndex(of: UInt8(ascii: "=")) {
                let name = String(pair[..<equal])
                if all[name] == nil { all[name] = String(pair[pair.utf8.index(after: equal)...]) }
            }
            next = next?.advanced(by: 1)
        }
        return all
    }

    private static func text(of characters: UnsafePointer<CChar>) -> String {
        let bytes = UnsafeBufferPointer(start: characters, count: strlen(characters))
        return FilePath(bytes: bytes.lazy.map { UInt8(bitPattern: $0) }).text
    }
}

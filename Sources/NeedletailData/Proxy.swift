// Proxies, which the environment asks for: what goes through one, and what must not.
package import Foundation
import NeedletailFiles

/// The variables that send requests through a proxy, as libcurl under URLSession reads them.
package enum Proxy {
    /// The variable that sends a request to `url` through a proxy; nil where it goes straight.
    package static func variable(
        for url: URL, _ value: (String) -> String? = ProcessSurroundings.variable
    ) -> String? {
        guard let host = host(of: url), !isExcepted(host, value) else { return nil }
        // http_proxy counts in lower case only: HTTP_PROXY is what a web server calls the header `Proxy` of a request.
        let names = url.scheme == "https" ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy"]
        return (names + ["all_proxy", "ALL_PROXY"]).first { value($0)?.isEmpty == false }
    }

    /// Has requests to this machine's own addresses go straight, as all browsers have them: a proxy elsewhere cannot reach them.
    ///
    /// libcurl reads exceptions in the environment alone, so the host is added to `no_proxy` there.
    package static func exceptLoopback(_ url: URL) {
        guard let host = host(of: url), isLoopback(host), variable(for: url) != nil else { return }
        let before = ["no_proxy", "NO_PROXY"].lazy.compactMap(ProcessSurroundings.variable).first { !$0.isEmpty }
        ProcessSurroundings.setVariable("no_proxy", before.map { "\($0),\(host)" } ?? host)
    }

    /// What to add to a message about a request that has failed; empty where it went to no proxy.
    package static func remark(for url: URL) -> String {
        guard let name = variable(for: url), let host = host(of: url) else { return "" }
        return
            "; the request went through the proxy of the environment variable \(name): NO_PROXY=\(host) has it go straight"
    }

    /// Whether a host is this machine by its name or address: `localhost`, 127.0.0.0/8 and ::1.
    package static func isLoopback(_ host: String) -> Bool {
        let host = host.lowercased()
        if host == "localhost" || host.hasSuffix(".localhost") { return true }
        var four = in_addr(), six = in6_addr()
        if inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
        guard inet_pton(AF_INET6, host, &six) == 1 else { return false }
        return withUnsafeBytes(of: six) { bytes in
            bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1  // ::1
                || bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF && bytes[12] == 127
        }
    }

    private static func host(of url: URL) -> String? {
        url.host.map { String($0.drop { $0 == "[" }.prefix { $0 != "]" }) }
    }

    /// Whether no_proxy excepts a host: by `*`, its name, or the name of a domain that it is in.
    private static func isExcepted(_ host: String, _ value: (String) -> String?) -> Bool {
        let list = ["no_proxy", "NO_PROXY"].lazy.compactMap(value).first { !$0.isEmpty } ?? ""
        let host = host.lowercased()
        return list.lowercased().split { $0 == "," || $0 == " " }.contains { name in
            let name = name.drop { $0 == "." || $0 == "[" }.prefix { $0 != "]" }
            return name == "*" || name == host || host.hasSuffix(".\(name)")
        }
    }
}

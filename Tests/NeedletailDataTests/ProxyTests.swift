// Proxies of the environment: this machine's own addresses go past them, and messages name them.
import Foundation
import NeedletailData
import Testing

@Suite struct ProxyTests {
    private func variable(_ url: String, _ variables: [String: String]) throws -> String? {
        Proxy.variable(for: try #require(URL(string: url))) { variables[$0] }
    }

    /// As libcurl has it: its variables by scheme, lower case only for http, all_proxy last, and exceptions.
    @Test func theVariableInForceIsFound() throws {
        let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        for name in names {
            let isForHTTP = ["http_proxy", "all_proxy", "ALL_PROXY"].contains(name)
            #expect(try variable("http://a.example/x", [name: "http://p"]) == (isForHTTP ? name : nil))
            let isForHTTPS = !["http_proxy", "HTTP_PROXY"].contains(name)
            #expect(try variable("https://a.example/x", [name: "http://p"]) == (isForHTTPS ? name : nil))
            #expect(try variable("https://a.example/x", [name: ""]) == nil)
            for exception in ["*", "a.example", ".example", "b, a.example", "x,EXAMPLE"] {
                for variable in ["no_proxy", "NO_PROXY"] {
                    #expect(try self.variable("https://a.example/", [name: "http://p", variable: exception]) == nil)
                }
            }
        }
        #expect(
            try variable("http://a.example", ["http_proxy": "p", "no_proxy": "xa.example,a.exampl"]) == "http_proxy")
    }

    @Test func loopbackAddressesAreKnown() {
        for host in ["localhost", "LOCALHOST", "x.localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
            #expect(Proxy.isLoopback(host), "\(host)")
        }
        for host in ["localhost.example", "128.0.0.1", "10.0.0.1", "::2", "example.org", "", "127.0.0.1.example"] {
            #expect(!Proxy.isLoopback(host), "\(host)")
        }
    }

    /// A download from this machine does not go through a proxy; one from elsewhere does, and names it where it refuses.
    @Test(arguments: ["http_proxy", "all_proxy", "ALL_PROXY"])
    func downloadsFromThisMachineGoStraight(_ name: String) async throws {
        await #expect(processExitsWith: .success) { [name] in
            for other in ["http_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"] { unsetenv(other) }
            let proxy = try LoopbackServer { _ in .status(403) }
            setenv(name, proxy.address, 1)
            setenv("NO_PROXY", "elsewhere.invalid", 1)
            let server = try LoopbackServer { _ in .body([1, 2, 3]) }
            let file = PublishedFiles([.init(name: "file", size: 3, crc32: CRC32.checksum([1, 2, 3]))])
            let folder = try TemporaryFolder()
            try file.prepare(directory: folder.path, baseURL: server.address)
            precondition(server.requests == ["/file.gz"] && proxy.requests.isEmpty)
            do {
                try file.prepare(directory: folder.path + "/other", baseURL: "http://data.invalid")
                preconditionFailure("it came from nowhere")
            } catch {
                precondition(proxy.requests == ["http://data.invalid/file.gz"])
                precondition("\(error)".contains("variable \(name)") && "\(error)".contains("NO_PROXY=data.invalid"))
            }
        }
    }
}

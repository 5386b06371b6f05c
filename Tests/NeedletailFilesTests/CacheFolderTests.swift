// The XDG Base Directory Specification: what is no absolute path counts as not set.
import NeedletailFiles
import Testing

@Suite struct CacheFolderTests {
    private let relative: [String?] = [nil, "", "relative", "./x", "~", "~/x", " /x"]

    private func path(_ cache: String?, _ home: String?, _ user: FilePath?) throws -> FilePath {
        try CacheFolder.path(cache: cache, home: home) { user }
    }

    @Test func onlyAbsolutePathsCount() throws {
        for none in relative {
            #expect(try path("/c", none, nil) == "/c")
            #expect(try path(none, "/h", nil) == "/h/.cache")
            #expect(try path(none, "/", "/u") == "/.cache")
            for other in relative {
                #expect(try path(none, other, "/u") == "/u/.cache")
                for user in [nil, "", "u"] as [FilePath?] {
                    let error = #expect(throws: CacheFolder.Missing.self) { try path(none, other, user) }
                    #expect(error?.description.contains("set XDG_CACHE_HOME") == true)
                }
            }
        }
        let odd = FilePath(bytes: [0x2F, 0xFF])
        #expect(try path(odd.text, nil, nil) == odd)
    }
}

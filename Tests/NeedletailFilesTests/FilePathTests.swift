// Paths are bytes, and survive a journey as text.
import NeedletailFiles
import Testing

@Suite struct FilePathTests {
    /// Bytes to text to bytes is the identity: for all single bytes, all pairs, and random strings of bytes that are likely to
    /// be a part of UTF-8.
    @Test func textKeepsAllBytes() {
        func check(_ bytes: [UInt8]) {
            let text = FilePath(bytes: bytes).text
            if FilePath(text).bytes != bytes { Issue.record("\(bytes) became \(FilePath(text).bytes)") }
        }
        for first in UInt8.min ... .max {
            check([first])
            for second in UInt8.min ... .max { check([first, second]) }
        }
        var generator = SystemRandomNumberGenerator()
        let likely: [UInt8] = [0x41, 0x2F, 0x80, 0xBE, 0xBF, 0xC3, 0xCC, 0xE2, 0xED, 0xA0, 0xF0, 0xF4, 0x8F, 0xFF]
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...12, using: &generator)
            check((0..<count).map { _ in likely.randomElement(using: &generator) ?? 0 })
            check((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
        }
    }

    /// What is UTF-8 is that text, but for the scalars that stand for bytes.
    @Test func textIsTheTextThatBytesAre() {
        for text in ["", "m", "runs/é", "e\u{301}", "漢字", "🙂", "\u{10FF7F}", "a\nb", "-x", "~"] {
            #expect(Array(FilePath(bytes: Array(text.utf8)).text.utf8) == Array(text.utf8))
        }
        #expect(FilePath(bytes: [0x61, 0xFF, 0xFE]).text == "a\u{10FFFF}\u{10FFFE}")
        let scalar = Array("\u{10FF80}".utf8)
        #expect(FilePath(bytes: scalar).text.unicodeScalars.count == 4 && FilePath("\u{10FF80}").bytes == [0x80])
        // Joining texts joins paths, also where the parts of a character meet.
        let halves = (FilePath(bytes: [0xC3]), FilePath(bytes: [0xA9]))
        #expect(FilePath(halves.0.text + halves.1.text).bytes == [0xC3, 0xA9])
    }

    /// Other spellings of one character are other paths.
    @Test func pathsAreComparedByBytes() { #expect(FilePath("é") != FilePath("e\u{301}")) }

    @Test func messagesShowWhatIsNoText() {
        #expect(FilePath(bytes: Array("a/".utf8) + [0xFF, 0xFE, 0x0A, 0x1B]).description == "a/\\xff\\xfe\\x0a\\x1b")
        #expect(FilePath.readable("cannot write \(FilePath(bytes: [0x80]).text):\nfull") == "cannot write \\x80:\nfull")
    }

    @Test(
        arguments: [
            // path, parent, name, stem, ending
            ("m", ".", "m", "m", ""), ("a/m", "a", "m", "a/m", ""), ("/m", "/", "m", "/m", ""),
            ("a//b", "a", "b", "a//b", ""), ("a//b/", "a", "b", "a//b", ""), ("a/b///", "a", "b", "a/b", ""),
            ("/", "/", "/", "/", ""), ("//", "/", "/", "/", ""), ("~/x.y", "~", "x.y", "~/x", ".y"),
            ("./-x.csv", ".", "-x.csv", "./-x", ".csv"), ("..", ".", "..", "..", ""), ("a/..", "a", "..", "a/..", ""),
            (".hidden", ".", ".hidden", ".hidden", ""), ("a.b/c", "a.b", "c", "a.b/c", ""),
            ("a/\u{301}b.c", "a", "\u{301}b.c", "a/\u{301}b", ".c"), ("x.tar.gz", ".", "x.tar.gz", "x.tar", ".gz"),
        ] as [(String, String, String, String, String)])
    func parts(_ path: String, _ parent: String, _ name: String, _ stem: String, _ ending: String) {
        let found = FilePath(path)
        #expect(found.parent == FilePath(parent) && found.name == FilePath(name), "\(found.parent) \(found.name)")
        let split = found.splitAtExtension
        #expect(split.stem == FilePath(stem) && split.ending == FilePath(ending), "\(split)")
    }

    @Test func partsAreJoinedByOneSlash() {
        #expect(FilePath("a").appending("b") == "a/b" && FilePath("a/").appending("b") == "a/b")
        #expect(FilePath("/").appending("b") == "/b" && FilePath("").appending("b") == "b")
    }

    @Test func whatNoPathCanBeIsSaid() {
        #expect(FilePath("").problem == "the path is empty" && FilePath("a\0b").problem == "the path holds a zero byte")
        #expect(FilePath("a").problem == nil)
        #expect(throws: FileError.self) { try FileSystem.open("a\0b", 0) }
    }
}

// Texts read in pieces have the tokens of texts read whole, in a few bytes each.
import Foundation
import NeedletailData
import NeedletailTensor
import Testing

@Suite struct TokenizedTextTests {
    /// Texts with characters of one to four bytes, with few and with very many kinds, shorter and longer than a piece of a file
    /// (1 MiB), so that characters lie across the ends of pieces in each way.
    private static func texts() -> [String] {
        var generator = SystemRandomNumberGenerator()
        func random(_ scalars: [ClosedRange<UInt32>], _ count: Int) -> String {
            var text = String.UnicodeScalarView()
            for _ in 0..<count {
                let range = scalars[Int.random(in: 0..<scalars.count, using: &generator)]
                if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) { text.append(scalar) }
            }
            return String(text)
        }
        let all: [ClosedRange<UInt32>] = [0...0x7F, 0x80...0x7FF, 0x800...0xFFFF, 0x10000...0x10FFFF]
        return [
            "", "a", "\u{FEFF}ab\u{FEFF}", "\u{0}\u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}",
            "to be,\r\nöder 🐦",
        ]
            + all.indices.map { random([all[$0]], 3000) } + [
                random(all, 700_000), random([0x10000...0x10FFFF], 300_000),
            ]
            + (0..<4).map { String(repeating: "x", count: $0) + String(repeating: "🐦", count: 300_000) }
    }

    @Test func tokensAreThoseOfTheWholeText() throws {
        let folder = try TemporaryFolder()
        for (index, text) in Self.texts().enumerated() {
            let path = try folder.write("\(index).txt", Array(text.utf8))
            let whole = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
            let vocabulary = TextVocabulary(charactersOf: whole)
            let characters = try TokenizedText(path: path)
            #expect(characters.vocabulary == vocabulary)
            #expect(try characters.tokens.values() == vocabulary.encode(whole))
            let bytes = try TokenizedText(path: path, unit: .byte)
            #expect(try bytes.vocabulary == .bytes && bytes.tokens.values() == TextVocabulary.bytes.encode(text))
        }
    }

    /// However many bytes a token takes, a window has the same numbers.
    @Test(arguments: [255, 256, 65535, 65536, Int(Int32.max)]) func batchesDoNotDependOnTheWidth(_ greatest: Int) throws
    {
        let tokens = (0..<40).map { $0 * 7919 % (greatest + 1) } + [greatest]
        let whole = TokenDataset(tokens, context: 5, stride: 3)
        let half = TokenDataset(TokenSequence(tokens)[9..<tokens.count], context: 5, stride: 3)
        for index in 0..<whole.count {
            let batch = try whole.batch([index], dtype: .float32)
            #expect(batch.inputs.scalars(as: Int64.self) == tokens[index * 3..<index * 3 + 5].map(Int64.init))
            #expect(batch.targets.scalars(as: Int64.self) == tokens[index * 3 + 1..<index * 3 + 6].map(Int64.init))
            guard index >= 3 else { continue }
            #expect(try half.batch([index - 3], dtype: .float32).inputs.bytes == batch.inputs.bytes)
        }
        #expect(try TokenSequence([-1, 5]).values() == [-1, 5])
    }

    /// Every sequence that UTF-8 forbids, after a text, alone, and at the end of a piece; the error names its first byte.
    @Test func whatIsNotUTF8IsRefusedWithItsPlace() throws {
        let folder = try TemporaryFolder()
        let forbidden: [[UInt8]] = [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF0, 0x9F, 0x90], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
        ]
        for (index, bytes) in forbidden.enumerated() {
            for before in [0, 3, (1 << 20) - 1, (1 << 20) - 2, 1 << 20] {
                let path = try folder.write("\(index)", Array(repeating: 65, count: before) + bytes)
                do {
                    _ = try TokenizedText(path: path)
                    Issue.record("\(bytes) after \(before) bytes was read")
                } catch let error as DataFileError {
                    #expect(error.problem == .content && error.offset == before, "\(bytes): \(error)")
                }
                #expect(try TokenizedText(path: path, unit: .byte).tokens.count == before + bytes.count)
            }
        }
    }

    @Test(arguments: [TokenizedText.Unit.byte, .character]) func onlyRegularFilesAreRead(_ unit: TokenizedText.Unit)
        throws
    {
        let folder = try TemporaryFolder()
        let pipe = "\(folder.path)/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        for (path, found) in [
            (pipe, "a folder, pipe or device"), ("\(folder.path)/", "a folder, pipe or device"),
            ("/dev/null", "a folder, pipe or device"),
            ("\(folder.path)/none", "no such file or directory"),
        ] {
            do {
                _ = try TokenizedText(path: path, unit: unit)
                Issue.record("\(path) was read")
            } catch let error as DataFileError { #expect(error.found == found) }
        }
    }

    /// A file that is shorter, longer or other than it was is an error, not a signal and not other tokens.
    @Test(arguments: ["", "abc", String(repeating: "b", count: 100), String(repeating: "a", count: 200)])
    func aFileThatChangesMeanwhileIsAnError(_ text: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("text", Array(repeating: 97, count: 100))
        let data = TokenDataset(try TokenizedText(path: path, unit: .byte).tokens, context: 9)
        #expect(try data.batch([9], dtype: .float32).count == 1)
        let handle = try #require(FileHandle(forWritingAtPath: path))
        usleep(20000)  // the clock of files ticks every 4 ms
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
        #expect(throws: DataFileError.self) { try data.batch([9], dtype: .float32) }
    }

    @Test func aTextBeginsWithWhatItsVocabularyHas() {
        #expect(TextVocabulary.bytes.firstToken == 10)
        #expect(TextVocabulary(charactersOf: "a\tb \n").firstToken == 1)
        #expect(TextVocabulary(charactersOf: "!a b").firstToken == 0)
        #expect(TextVocabulary(charactersOf: "xyz").firstToken == 0)
        #expect(TextVocabulary(charactersOf: "").firstToken == nil)
    }
}

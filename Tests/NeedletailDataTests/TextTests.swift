// Text as tokens, and tokens in windows.
import NeedletailData
import NeedletailTensor
import Testing

@Suite struct TextTests {
    @Test func charactersAreNumberedInOrderAndComeBack() throws {
        let text = "to be,\r\nöder nicht 🐦"
        let vocabulary = TextVocabulary(charactersOf: text)
        #expect(vocabulary.count == Set(text.unicodeScalars).count)
        let tokens = try vocabulary.encode(text)
        #expect(tokens.count == text.unicodeScalars.count && tokens.max() == vocabulary.count - 1)
        #expect(tokens[0] == tokens.firstIndex(of: tokens[0]).map { tokens[$0] })
        #expect(String(decoding: vocabulary.decode(tokens), as: UTF8.self) == text)
        #expect(try vocabulary.encode("\n\r") == [0, 1])
        #expect(throws: UnknownCharacterError.self) { try vocabulary.encode("toX") }
        #expect(vocabulary.decode([-1, 99]) == [])
    }

    @Test func bytesAreThemselves() throws {
        #expect(TextVocabulary.bytes.count == 256)
        #expect(try TextVocabulary.bytes.encode("aö") == [97, 195, 182])
        #expect(TextVocabulary.bytes.decode([97, 195, 182, 256, -1]) == Array("aö".utf8))
    }

    @Test func windowsLieSideBySideAndTargetsFollow() throws {
        let data = TokenDataset(Array(0..<11), context: 3)
        #expect(data.count == 3)
        let batch = try data.batch([2, 0], dtype: .bfloat16)
        #expect(batch.inputs.dtype == .int64 && batch.inputs.shape == [2, 3])
        #expect(batch.inputs.scalars(as: Int64.self) == [6, 7, 8, 0, 1, 2])
        #expect(batch.targets.scalars(as: Int64.self) == [7, 8, 9, 1, 2, 3])
        // The last window that has a token after it; and every one of them with stride 1.
        #expect(TokenDataset(Array(0..<10), context: 3).count == 3)
        #expect(TokenDataset(Array(0..<9), context: 3).count == 2)
        #expect(TokenDataset(Array(0..<9), context: 3, stride: 1).count == 6)
        #expect(TokenDataset(Array(0..<4), context: 3).count == 1)
        #expect(TokenDataset(Array(0..<3), context: 3).count == 0 && TokenDataset([], context: 3).count == 0)
    }
}

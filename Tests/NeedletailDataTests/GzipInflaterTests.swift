// gzip as the data files use it: every legal header, several members, and every kind of damage.
import Foundation
import NeedletailData
import Testing

private let content = IDXFixture.bytes([4, 5, 5], (0..<100).map { UInt8($0 * 7 % 256) })

private func inflate(_ bytes: [UInt8], limit: Int = 1 << 20) throws -> [UInt8] {
    try ByteStream(bytes, name: "some.gz").read(limit)
}

private func problem(_ body: () throws -> Void) -> DataFileError? {
    do {
        try body()
        return nil
    } catch { return error as? DataFileError }
}

@Suite struct GzipInflaterTests {
    @Test func headerFieldsAndMembers() throws {
        let half = content.count / 2
        let (first, second) = (Array(content[..<half]), Array(content[half...]))
        let files = [
            GzipFixture.member(content),
            GzipFixture.member(content, extra: [65, 66, 2, 0, 1, 2]),
            GzipFixture.member(
                content, extra: [UInt8](repeating: 0, count: 70), fileName: "train-images", comment: "ü"),
            GzipFixture.member(content, fileName: "", headerChecksum: true),
            GzipFixture.member(first) + GzipFixture.member(second),
            GzipFixture.member([]) + GzipFixture.member(first, fileName: "a") + GzipFixture.member([])
                + GzipFixture.member(second) + GzipFixture.member([]),
        ]
        for file in files {
            #expect(try inflate(file) == content)
            #expect(try IDXArray(ByteStream(file, name: "x")).shape == [4, 5, 5])
        }
    }

    /// The same bytes whatever the size of the reads: the decompressor holds output back while it has no more input.
    @Test func readsOfAnySize() throws {
        let bytes = [UInt8](repeating: 3, count: 300_000) + (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* $0) }
        let file = GzipFixture.member(bytes)
        for size in [997, 65_536, 123_457] {
            let stream = try ByteStream(file, name: "x")
            var got: [UInt8] = []
            while true {
                let part = try stream.read(size)
                got += part
                if part.count < size { break }
            }
            #expect(got == bytes && stream.offset == bytes.count)
        }
    }

    @Test func truncatedAtEveryByte() throws {
        for file in [
            GzipFixture.member(content, fileName: "name"), GzipFixture.member([1]) + GzipFixture.member(content),
        ] {
            let firstMember = GzipFixture.member([1]).count
            for length in 2..<file.count where length != firstMember {
                let error = try #require(problem { _ = try inflate(Array(file[..<length])) }, "\(length) accepted")
                #expect([.truncated, .trailing].contains(error.problem), "\(length): \(error)")
            }
        }
    }

    /// Every bit of a file flipped: either an error, or the same content (a bit of the time stamp, say). Never other
    /// content.
    @Test func everyFlippedBit() throws {
        let file = GzipFixture.member(content)
        for bit in 16..<(file.count * 8) {
            var damaged = file
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            do {
                #expect(try inflate(damaged) == content, "bit \(bit)")
            } catch { #expect(error is DataFileError, "bit \(bit): \(error)") }
        }
    }

    @Test func wrongChecksumAndLength() throws {
        for (position, text) in [(8, "incorrect data check"), (4, "incorrect length check")] {
            var file = GzipFixture.member(content)
            file[file.count - position] ^= 0x40
            // Also where the reader asks for exactly the content: IDX looks one byte further.
            let error = try #require(problem { _ = try IDXArray(ByteStream(file, name: "x")) })
            #expect(error.problem == .gzip && error.description.contains(text), "\(error)")
        }
    }

    @Test func bytesAfterTheLastMember() throws {
        for rest in [[0], [10], [0x1F], Array("garbage that is long enough".utf8), [UInt8](repeating: 0, count: 512)]
            as [[UInt8]]
        {
            let file = GzipFixture.member(content)
            let error = try #require(problem { _ = try inflate(file + rest) })
            #expect(error.problem == .trailing && error.offset == file.count, "\(rest): \(error)")
        }
    }

    /// A header that claims 8 bytes before 256 MB of zeros: refused at the ninth, having inflated one buffer's worth.
    @Test func bombStopsAtTheClaimedSize() throws {
        let megabytes = GzipFixture.member([UInt8](repeating: 0, count: 16 << 20))
        var bomb = GzipFixture.member(IDXFixture.bytes([8], []))
        for _ in 0..<16 { bomb += megabytes }
        let before = residentPeak()
        let error = try #require(problem { _ = try IDXArray(ByteStream(bomb, name: "bomb")) })
        #expect(error.problem == .trailing && error.offset == 16, "\(error)")
        #expect(residentPeak() - before <= 8 << 20)
    }

    /// More is claimed than deflate's ratio of 1032 allows: refused before memory is taken.
    @Test func claimBeyondTheRatio() throws {
        let file = GzipFixture.member(IDXFixture.bytes([1 << 30], [1, 2, 3]))
        let error = try #require(problem { _ = try IDXArray(ByteStream(file, name: "x")) })
        #expect(error.problem == .truncated && error.found.contains("gzip data of at most"), "\(error)")
    }

    private func residentPeak() -> Int {
        var usage = rusage()
        #if os(Linux)
            getrusage(RUSAGE_SELF.rawValue, &usage)
            return Int(usage.ru_maxrss) << 10
        #else
            getrusage(RUSAGE_SELF, &usage)
            return Int(usage.ru_maxrss)
        #endif
    }
}

// IDX files: all element types, and a refusal with file, offset, expected and found for each way in which a file can
// lie.
import Foundation
import NeedletailData
import NeedletailTensor
import Testing

private func decode(_ bytes: [UInt8]) throws -> IDXArray { try IDXArray(ByteStream(bytes, name: "some.idx")) }

private func refusal(_ bytes: [UInt8]) -> DataFileError? {
    do {
        _ = try decode(bytes)
        return nil
    } catch { return error as? DataFileError }
}

private let small = IDXFixture.bytes([2, 3], [1, 2, 3, 4, 5, 6])

@Suite struct IDXTests {
    @Test func allElementTypes() throws {
        let doubles = [-1.5, 0, 3e300]
        let floats: [Float] = [-1.5, .infinity, .leastNonzeroMagnitude]
        let cases: [(UInt8, [UInt8], Tensor)] = [
            (0x08, [0, 127, 255], Tensor([0, 127, 255] as [UInt8])),
            (0x09, [0, 127, 255], Tensor([0, 127, -1] as [Int32])),
            (0x0B, [0x80, 0, 0, 1, 0xFF, 0xFE], Tensor([-32768, 1, -2] as [Int32])),
            (0x0C, [0x80, 0, 0, 0, 0, 0, 1, 2, 0xFF, 0xFF, 0xFF, 0xFF], Tensor([.min, 258, -1] as [Int32])),
            (0x0D, floats.flatMap { IDXFixture.bigEndian(UInt64($0.bitPattern), 4) }, Tensor(floats)),
            (0x0E, doubles.flatMap { IDXFixture.bigEndian($0.bitPattern, 8) }, Tensor(doubles)),
        ]
        for (type, elements, expected) in cases {
            let content = IDXFixture.file(type, [3], elements)
            for bytes in [content, GzipFixture.member(content)] {
                let tensor = try decode(bytes).tensor
                #expect(tensor.dtype == expected.dtype && tensor.shape == [3] && tensor.bytes == expected.bytes)
            }
        }
    }

    @Test func shapes() throws {
        let cube = try decode(IDXFixture.bytes([2, 1, 3], [1, 2, 3, 4, 5, 6]))
        #expect(cube.shape == [2, 1, 3] && cube.bytes == [1, 2, 3, 4, 5, 6] && cube.dataOffset == 16)
        #expect(try decode(IDXFixture.bytes([0, 28, 28], [])).shape == [0, 28, 28])
        #expect(try decode(IDXFixture.bytes([0xFFFF_FFFF, 0, 0x7FFF_FFFF], [])).tensor.count == 0)
        #expect(try decode(IDXFixture.bytes([Int](repeating: 1, count: 255), [9])).shape.count == 255)
    }

    /// Content, what is wrong with it, and where. 2^60 bytes are refused before any memory is taken.
    @Test(
        arguments: [
            ("empty", [], .truncated, 0),
            ("PNG", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], .magic, 0),
            ("text", Array("label,pixel0\n".utf8), .magic, 0),
            ("second byte", [0, 1, 8, 1, 0, 0, 0, 0], .magic, 0),
            ("type 0", [0, 0, 0, 1, 0, 0, 0, 0], .elementType, 2),
            ("type 10", [0, 0, 10, 1, 0, 0, 0, 0], .elementType, 2),
            ("type 15", [0, 0, 15, 1, 0, 0, 0, 0], .elementType, 2),
            ("rank 0", [0, 0, 8, 0], .rank, 3),
            ("rank 0 with a byte", [0, 0, 8, 0, 7], .rank, 3),
            ("a byte short", small.dropLast(), .truncated, 17),
            ("a byte long", small + [0], .trailing, 18),
            ("a file twice", small + small, .trailing, 18),
            ("2^60 bytes", IDXFixture.bytes([1 << 20, 1 << 20, 1 << 20], [1]), .truncated, 17),
            ("product wraps to 0", IDXFixture.bytes([1 << 31, 1 << 31, 4], []), .size, 4),
            ("product wraps to 4", IDXFixture.bytes([0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], [1, 2, 3, 4]), .size, 4),
            ("wraps beside a zero", IDXFixture.bytes([0, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], []), .size, 4),
            ("8 bytes each wrap", IDXFixture.file(14, [1 << 30, 1 << 30], []), .size, 4),
            ("255 sizes of 2^32 - 1", IDXFixture.bytes([Int](repeating: 0xFFFF_FFFF, count: 255), []), .size, 4),
            ("little-endian sizes", [0, 0, 8, 1, 3, 0, 0, 0, 1, 2, 3], .truncated, 11),
            ("half an element", IDXFixture.file(0x0B, [2], [1, 2, 3]), .truncated, 11),
        ] as [(String, [UInt8], DataFileError.Problem, Int)])
    func malformed(name: String, bytes: [UInt8], problem: DataFileError.Problem, offset: Int) throws {
        let plain = try #require(refusal(bytes), "\(name) was accepted")
        #expect(plain.problem == problem && plain.offset == offset, "\(name): \(plain)")
        #expect(
            plain.description.hasPrefix("some.idx, byte \(offset): found \(plain.found), expected \(plain.expected)"))
        let zipped = try #require(refusal(GzipFixture.member(bytes)), "\(name), zipped, was accepted")
        #expect(zipped.problem == problem, "\(name), zipped: \(zipped)")
    }

    @Test func truncatedAtEveryByte() throws {
        for length in small.indices {
            let error = try #require(refusal(Array(small[..<length])))
            #expect(error.problem == .truncated && error.offset == length, "\(length): \(error)")
        }
    }

    /// Any other byte in place of any byte of a header: an error or an array, and no trap.
    @Test func headerFuzz() {
        for position in 0..<12 {
            for value in UInt8.min...UInt8.max {
                var bytes = small
                bytes[position] = value
                if let array = try? decode(bytes) { #expect(array.bytes.count == 6 || array.shape.contains(0)) }
            }
        }
    }

    @Test func filesOnDisk() throws {
        let folder = try TemporaryFolder()
        let plain = try folder.write("a.idx", small)
        let zipped = try folder.write("b.idx.gz", GzipFixture.member(small))
        for path in [plain, zipped] {
            let tensor = try IDX.read(path)
            #expect(tensor.shape == [2, 3] && tensor.dtype == .uint8 && tensor.bytes == [1, 2, 3, 4, 5, 6])
        }
        let short = try folder.write("short.idx", Array(small.dropLast(2)))
        #expect {
            try IDX.read(short)
        } throws: {
            "\($0)" == "\(short), byte 16: found 4 bytes after the header, expected 6 bytes for shape [2, 3] of uint8"
        }
        for path in [folder.path + "/absent", folder.path, "/dev/null"] {
            #expect { try IDX.read(path) } throws: {
                ($0 as? DataFileError)?.problem == .unreadable && "\($0)".hasPrefix(path)
            }
        }
    }
}

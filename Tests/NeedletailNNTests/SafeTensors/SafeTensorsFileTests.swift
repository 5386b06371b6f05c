// Writing and reading whole files: the bytes of Python's writer, alignment, names, atomic writes.
import Foundation
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct SafeTensorsFileTests {
    private func fileBytes(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    @Test(arguments: ["types", "net"])
    func bytesAreThoseOfPythonsWriter(_ name: String) throws {
        let bytes = try fileBytes(fixturePath(name))
        let (tensors, metadata) = try SafeTensorsFile.decode(bytes)
        // In any order of tensors.
        let list = tensors.map { (name: $0.key, tensor: $0.value) }
        #expect(try SafeTensorsFile.encode(tensors: list, metadata: metadata) == bytes)
        #expect(try SafeTensorsFile.encode(tensors: list.reversed(), metadata: metadata) == bytes)
    }

    @Test func everyTypeIsReadAsPythonWroteIt() throws {
        let (tensors, metadata) = try SafeTensorsFile.read(fixturePath("types"))
        func tensor(_ name: String) throws -> Tensor { try #require(tensors[name]) }
        #expect(tensors.count == 13)
        #expect(try tensor("i64").scalars(as: Int64.self) == [.min, -1, 0, .max])
        #expect(try tensor("i32").scalars(as: Int32.self) == [.min, 7, .max])
        #expect(try tensor("u8").scalars(as: UInt8.self) == [0, 255, 3] && tensor("u8").shape == [1, 3])
        #expect(try tensor("bool").scalars(as: Bool.self) == [true, false, true, true, false])
        #expect(try tensor("scalar").shape == [] && tensor("scalar").item() == 1.5)
        #expect(try tensor("empty").shape == [0, 4])
        let f32 = try tensor("f32").scalars(as: Float.self)
        #expect(try tensor("f64").scalars(as: Double.self) == f32.map(Double.init) && tensor("f64").shape == [7, 1])
        #expect(try tensor("f16").scalars(as: Float16.self) == f32.prefix(5).map { Float16($0) })
        #expect(try tensor("bf16").scalars(as: BFloat16.self) == f32.prefix(3).map { BFloat16($0) })
        #expect(try tensor("naïve \"名前\"\\/\n\t\u{1}\u{7f}😀").item() == 1)
        #expect(metadata == ["note": "tab\t \"quoted\" é\u{b}"])
    }

    @Test func inspectReadsTheHeaderOnly() throws {
        let (entries, metadata) = try SafeTensorsFile.inspect(fixturePath("types"))
        #expect(entries.map(\.dtype).prefix(3) == [.int64, .float64, .float32])
        #expect(entries[0].name == "i64" && entries[0].range == 0..<32 && entries[0].shape == [4])
        #expect(metadata.count == 1)
    }

    @Test func dataBeginsAtAMultipleOfEight() throws {
        for length in 0..<24 {
            let name = String(repeating: "x", count: length)
            let bytes = try SafeTensorsFile.encode(tensors: [(name, .ones([3], dtype: .uint8)), ("y", .ones([1]))])
            #expect((bytes.count - 4 - 3) % 8 == 0)
            #expect(try SafeTensorsFile.decode(bytes).tensors[name]?.scalars(as: UInt8.self) == [1, 1, 1])
        }
    }

    @Test func emptyFilesAndViewsRoundTrip() throws {
        #expect(try SafeTensorsFile.decode(SafeTensorsFile.encode(tensors: [])).tensors.isEmpty)
        let x = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        let bytes = try SafeTensorsFile.encode(tensors: [("t", x.transposed()), ("", x[1])])
        let read = try SafeTensorsFile.decode(bytes).tensors
        #expect(read["t"]?.scalars(as: Float.self) == [1, 4, 2, 5, 3, 6] && read["t"]?.shape == [3, 2])
        #expect(read[""]?.scalars(as: Float.self) == [4, 5, 6])
    }

    @Test func metadataIsSorted() throws {
        let bytes = try SafeTensorsFile.encode(tensors: [], metadata: ["b": "2", "é": "4", "a": "1", "c": "3"])
        #expect(
            String(decoding: bytes[8...], as: UTF8.self).hasPrefix(
                #"{"__metadata__":{"a":"1","b":"2","c":"3","é":"4"}}"#))
    }

    @Test func namesThatCannotBeWrittenAreRefused() {
        func problem(_ names: [String]) -> SafeTensorsError.Problem? {
            #expect(throws: SafeTensorsError.self) {
                try SafeTensorsFile.encode(tensors: names.map { ($0, .ones([1])) })
            }?.problem
        }
        #expect(problem(["__metadata__"]) == .reservedName)
        #expect(problem(["a", "b", "a"]) == .duplicateName("a"))
        // One name to Swift and to a reader on macOS: composed and decomposed.
        #expect(problem(["\u{E9}", "e\u{301}"]) != nil)
        #expect(problem([String(repeating: "n", count: SafeTensorsFile.maximumNameByteCount + 1)]) != nil)
    }

    @Test func aFailedWriteLeavesTheOldFile() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/model.safetensors"
            try SafeTensorsFile.write([("a", .ones([2]))], to: path)
            let old = try fileBytes(path)
            let error = #expect(throws: SafeTensorsError.self) {
                try SafeTensorsFile.write([("__metadata__", .ones([2]))], to: path)
            }
            #expect(error?.file == path)
            #expect(try fileBytes(path) == old)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])
        }
    }

    @Test func pathsThatCannotBeReadAreRefused() throws {
        try withTemporaryFolder { folder in
            for path in [folder, folder + "/none", "/dev/zero", "", "/dev/null/x"] {
                let error = #expect(throws: SafeTensorsError.self) { try SafeTensorsFile.read(path) }
                #expect(error?.file == path)
            }
            try Data().write(to: URL(fileURLWithPath: folder + "/empty"))
            let error = #expect(throws: SafeTensorsError.self) { try SafeTensorsFile.read(folder + "/empty") }
            #expect(error?.problem == .tooShort(byteCount: 0))
            // A link to a file is followed.
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/link", withDestinationPath: fixturePath("types"))
            #expect(try SafeTensorsFile.read(folder + "/link").tensors.count == 13)
        }
    }

    /// Python with the safetensors package, if this machine has it.
    private static let python: String? = ["python3", ProcessInfo.processInfo.environment["PYTHON"] ?? "python3"].last {
        run($0, ["-c", "import safetensors.numpy"])?.status == 0
    }

    private static func run(_ program: String, _ arguments: [String]) -> (status: Int32, output: String)? {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }

    @Test(.enabled(if: python != nil, "needs Python with the safetensors package; PYTHON=path names another Python"))
    func pythonReadsOurFile() throws {
        let python = try #require(Self.python)
        try withTemporaryFolder { folder in
            let path = folder + "/ours.safetensors"
            let tensors: [(String, Tensor)] = [
                ("weight", Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])),
                ("ü \"1\"\n", .ones([2], dtype: .int64)),
                ("half", .full([3], 0.5, dtype: .float16)), ("flag", Tensor([true, false])), ("none", .zeros([0, 2])),
            ]
            try SafeTensorsFile.write(tensors, metadata: ["k": "v", "a": "é"], to: path)
            let script = """
                import sys
                from safetensors import safe_open
                with safe_open(sys.argv[1], framework="numpy") as f:
                    print(sorted(f.metadata().items()) == [("a", "é"), ("k", "v")])
                    for name in sorted(f.keys()):
                        t = f.get_tensor(name)
                        print(ascii(name), t.dtype, list(t.shape), t.ravel().tolist())
                """
            let result = try #require(Self.run(python, ["-c", script, path]))
            #expect(
                result.output == """
                    True
                    'flag' bool [2] [True, False]
                    'half' float16 [3] [0.5, 0.5, 0.5]
                    'none' float32 [0, 2] []
                    'weight' float32 [2, 3] [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
                    '\\xfc "1"\\n' int64 [2] [1, 1]

                    """)
        }
    }
}

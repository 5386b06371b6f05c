import Foundation
import NeedletailBench
import Testing

@Suite struct BenchmarkShapeTests {
    @Test func shapesAndLayouts() throws {
        #expect(try BenchmarkShape(parsing: "64x128x784") == BenchmarkShape([64, 128, 784]))
        #expect(try BenchmarkShape(parsing: "64x128x784/TN") == BenchmarkShape([64, 128, 784], .tn))
        #expect(try BenchmarkShape(parsing: "1048576") == BenchmarkShape([1_048_576]))
        for text in ["64x128x784", "1x2x3/NT", "7", "64x784x128x256x10"] {
            #expect(try BenchmarkShape(parsing: text).text == text)
        }
    }

    @Test(arguments: [
        "", "x", "0x1x2", "-1x2x3", "1x2x", "1x2x3/", "1x2x3/XX", "1x2x3/nt", "1x2/NT", "1x2x3/NT/NN", "1 x2x3",
        "+1x2x3",
        "1x2x3.5", "99999999999999999999x1x1", "4294967296x1x1", "１x2x3",
    ])
    func wrongShapes(text: String) {
        let error = #expect(throws: BenchmarkError.self) { try BenchmarkShape(parsing: text) }
        #expect(error?.description.contains("expected") == true)
    }

    @Test func listsOnTheCommandLine() throws {
        #expect(
            try BenchmarkShape.list("1x2x3,4x5x6/NT") == [BenchmarkShape([1, 2, 3]), BenchmarkShape([4, 5, 6], .nt)])
        #expect(throws: BenchmarkError.self) { try BenchmarkShape.list("1x2x3,") }
        let error = #expect(throws: BenchmarkError.self) { try BenchmarkShape.list("no/such/file.txt") }
        #expect(error?.description.contains("no/such/file.txt") == true)
    }

    @Test func files() throws {
        let text = "# a model\n\n1x2x3/NT first layer # why\n  4x5x6\t\n"
        #expect(
            try BenchmarkShape.lines(text, name: "f") == [
                BenchmarkShape([1, 2, 3], .nt, label: "first layer"), BenchmarkShape([4, 5, 6]),
            ])
        let error = #expect(throws: BenchmarkError.self) { try BenchmarkShape.lines("1x1x1\nlayer 1x2x3", name: "f") }
        #expect(error?.description.contains("f, line 2") == true)
        #expect(throws: BenchmarkError.self) { try BenchmarkShape.lines("# nothing", name: "f") }
    }

    /// Those that come with the package: every line is a matrix product.
    @Test(arguments: ["mlp", "gpt2", "resnet50"])
    func modelFiles(name: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let shapes = try BenchmarkShape.file(root.appendingPathComponent("Benchmarks/Shapes/\(name).txt").path)
        #expect(shapes.count >= 5)
        for shape in shapes {
            #expect(BenchmarkFamily.gemm.takes(shape) && shape.layout != nil && !shape.label.isEmpty, "\(shape)")
        }
    }
}

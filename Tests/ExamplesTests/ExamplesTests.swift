// Each example as a process of its own, in a folder of its own.
import Foundation
import Testing

@Suite(.serialized) struct ExamplesTests {
    /// Runs an example in `folder` with fast settings; its output.
    private func run(_ name: String, _ arguments: [String], in folder: URL) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
            .appendingPathComponent(name)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        let output = folder.appendingPathComponent(name + ".txt")
        try Data().write(to: output)
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        let text = try String(contentsOf: output, encoding: .utf8)
        #expect(process.terminationReason == .exit && process.terminationStatus == 0, "\(name): \(text)")
        return text
    }

    /// The number behind `key` on the last line that begins with it.
    private func number(_ key: String, in text: String) throws -> Double {
        let line = try #require(text.split(separator: "\n").last { $0.hasPrefix(key + " ") }, "\(text)")
        return try #require(Double(line.dropFirst(key.count + 1)))
    }

    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("examples-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    /// Chance is 0.1. The prediction knows the classifier by its checkpoint alone.
    @Test(arguments: ["32-true", "16-mixed", "bf16-true"])
    func theClassifierLearnsAndItsCheckpointPredicts(_ precision: String) throws {
        try withFolder { folder in
            let trained = try run("ExampleClassifier", [precision, "6"], in: folder)
            #expect(try number("accuracy", in: trained) > 0.8)
            let predicted = try run("ExamplePrediction", [], in: folder)
            #expect(predicted.hasPrefix("trained in \(precision) for 120 steps\n"))
            let hits = predicted.matches(of: /image [0-9]: ([0-9]) .* labelled ([0-9])/).count { $0.1 == $0.2 }
            #expect(hits >= 7, "\(predicted)")
        }
    }

    /// A source file of the tutorial's kind is under forty lines.
    @Test func theClassifierIsShort() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let source = try String(
            contentsOf: root.appendingPathComponent("Sources/Examples/Classifier/main.swift"), encoding: .utf8)
        #expect(source.split(separator: "\n", omittingEmptySubsequences: false).count - 1 < 40)
    }

    /// The mean of what is drawn comes nearer to that of the digits; two optimizers, one loss scale.
    @Test(arguments: ["16-mixed", "32-true"]) func theGeneratorLearnsToDraw(_ precision: String) throws {
        try withFolder { folder in
            let untrained = try number("distance", in: run("ExampleGAN", ["0", precision], in: folder))
            let trained = try number("distance", in: run("ExampleGAN", ["60", precision], in: folder))
            #expect(trained < 0.35 && trained < untrained / 2, "\(untrained) -> \(trained)")
        }
    }

    /// Convolutions, batch norm and pooling in three precisions.
    @Test(arguments: ["32-true", "16-mixed", "bf16-mixed"]) func theConvolutionsLearn(_ precision: String) throws {
        try withFolder { folder in
            let trained = try run("ExampleCNN", [precision, "3"], in: folder)
            #expect(try number("accuracy", in: trained) > 0.9)
        }
    }

    @Test func fineTuningLearnsAllDigits() throws {
        try withFolder { folder in
            let tuned = try run("ExampleFineTuning", ["4"], in: folder)
            #expect(try number("accuracy", in: tuned) > 0.85)
        }
    }

    /// On its own source: chance is ln 70 = 4.2 a character.
    @Test(arguments: ["32-true", "16-mixed"]) func theGPTLearnsAndWrites(_ precision: String) throws {
        try withFolder { folder in
            let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appendingPathComponent("Sources/Examples/GPT/main.swift").path
            let text = try run("ExampleGPT", [source, precision, "40"], in: folder)
            #expect(try number("validation_loss", in: text) < 3.5)
        }
    }

    /// Chance is 0.1; counting upwards is never right downwards.
    @Test func adaptersLearnAndMerge() throws {
        try withFolder { folder in
            let text = try run("ExampleLoRA", ["80"], in: folder)
            #expect(try number("upwards", in: text) > 0.9)
            #expect(try number("adapters", in: text) == 4)
            let adapted = try number("downwards", in: text)
            #expect(adapted > 0.9)
            #expect(abs(try number("merged", in: text) - adapted) < 0.02)
        }
    }

    @Test func theCallbackDrawsALineAnEpoch() throws {
        try withFolder { folder in
            let text = try run("ExampleCallback", ["2"], in: folder)
            let lines = text.matches(of: /epoch ([01]): ([▁-█]+) up to [0-9.]+/)
            #expect(lines.map { $0.1 } == ["0", "1"] && lines.allSatisfy { $0.2.count == 45 }, "\(text)")
        }
    }
}

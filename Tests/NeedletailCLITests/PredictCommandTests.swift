// Prediction from PNG, raw bytes and IDX: the same image gives the same answer, and wrong inputs are refused.
import Foundation
import Testing

@Suite struct PredictCommandTests {
    /// A checkpoint of a short run on 28 x 28 images made here: class c has one bright band of rows.
    private func checkpoint(in scratch: Scratch) throws -> String {
        let count = 200
        var images: [UInt8] = []
        for index in 0..<count {
            for row in 0..<28 {
                let bright = row / 3 == index % 10
                images += (0..<28).map {
                    bright ? UInt8(200 + ($0 + index) % 50) : UInt8(($0 * 7 + row * 3 + index) % 40)
                }
            }
        }
        try FileManager.default.createDirectory(atPath: scratch.path("data"), withIntermediateDirectories: true)
        for part in ["train", "t10k"] {
            _ = try scratch.write(idx([count, 28, 28], images), "data/\(part)-images-idx3-ubyte")
            _ = try scratch.write(idx([count], (0..<count).map { UInt8($0 % 10) }), "data/\(part)-labels-idx1-ubyte")
        }
        _ = try Needletail.succeeds(
            "train --quiet --data \(scratch.path("data")) --epochs 5 --precision bf16-mixed --checkpoint \(scratch.path("run"))"
        )
        return scratch.path("run")
    }

    /// The bytes of fixture image `Fixtures/images/<name>`.
    private func fixture(_ name: String) throws -> String {
        try #require(Bundle.module.url(forResource: "Fixtures/images/\(name)", withExtension: nil)).path
    }

    private func predictions(_ output: String) throws -> [(label: Int, probabilities: [Double])] {
        try output.split(separator: "\n").map { line in
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            return (try #require(object["class"] as? Int), try #require(object["probabilities"] as? [Double]))
        }
    }

    @Test func pngRawAndIDXAgree() throws {
        let scratch = try Scratch()
        let checkpoint = try checkpoint(in: scratch)
        let raw = try [UInt8](Data(contentsOf: URL(fileURLWithPath: try fixture("band3.raw"))))
        let array = try scratch.write(idx([2, 28, 28], raw + raw), "two.idx")
        let single = try scratch.write(idx([28, 28], raw), "one.idx")
        let files = [
            try fixture("band3.raw"), try fixture("band3-gray8.png"), try fixture("band3-rgba.png"),
            try fixture("band3-gray16.png"), single, array,
        ]
        let run = try Needletail(["predict", "--json", checkpoint] + files)
        #expect(run.status == 0, "\(run.complaint)")
        let found = try predictions(run.output)
        #expect(found.count == 7)
        for prediction in found {
            #expect(prediction.label == 3)
            #expect(prediction.probabilities == found[0].probabilities)
            // Ten float32 probabilities, each the exponential of a rounded log-softmax: u (8 + ln 10 + 2.5 |y|) relative.
            #expect(abs(prediction.probabilities.reduce(0, +) - 1) <= 5e-6)
        }
        let text = try Needletail(["predict", checkpoint, array])
        #expect(text.output.split(separator: "\n").count == 2)
        #expect(text.output.contains("two.idx[1]: 3"))
    }

    @Test func wrongInputsAreRefused() throws {
        let scratch = try Scratch()
        let checkpoint = try checkpoint(in: scratch)
        var png = try [UInt8](Data(contentsOf: URL(fileURLWithPath: try fixture("band3-gray8.png"))))
        png[png.count - 30] ^= 0xFF
        for (file, part) in [
            (try scratch.write(png, "damaged.png"), "PNG"),
            (try scratch.write(Array(png.prefix(60)), "truncated.png"), "PNG"),
            (try fixture("small.png"), "8 x 8"),
            (try scratch.write([1, 2, 3], "short.raw"), "784"),
            (try scratch.write([], "empty"), "784"),
            (try scratch.write(idx([1, 8, 8], [UInt8](repeating: 0, count: 64)), "small.idx"), "28"),
            (scratch.folder.path, "cannot be read"),
        ] {
            let run = try Needletail(["predict", checkpoint, file])
            #expect(run.status == 65, "\(file): \(run.complaint)")
            #expect(run.complaints.count == 1)
            #expect(run.complaint.contains(part), "\(run.complaint)")
            #expect(run.output.isEmpty)
        }
    }
}

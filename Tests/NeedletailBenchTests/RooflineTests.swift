import Foundation
import FoundationXML
import NeedletailBench
import Testing

@Suite struct RooflineTests {
    /// Counts elements and collects text.
    final class Reader: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]
        var attributes: [String] = []
        var text = ""
        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            counts[name, default: 0] += 1
            self.attributes += attributes.keys
        }
        func parser(_ parser: XMLParser, foundCharacters string: String) { text += string + " " }
    }

    private func read(_ svg: String) throws -> Reader {
        let reader = Reader()
        let parser = XMLParser(data: Data(svg.utf8))
        parser.delegate = reader
        try #require(parser.parse(), "\(String(describing: parser.parserError))")
        return reader
    }

    private let limits = MachineLimits(threads: 2, peak: 250e9, bandwidth: [.l2: 200e9, .l3: 100e9, .memory: 40e9])

    @Test func isWellFormedAndHasRoofsAndLabels() throws {
        let work = Work(operations: 240, bytes: 20, workingSet: 1, unit: .gigaflops)
        let points = [3, 4, 5].map { m in
            Roofline.Point(
                BenchmarkResultTests.result(size: .product(m: m, n: 5, k: 6), seconds: 1e-9 * Double(m)), work)
        }
        let svg = Roofline(title: "a < b & c", subtitle: "s", limits: [limits], points: points).svg
        let reader = try read(svg)
        #expect(reader.counts["circle"] == 3 + 1)  // the points, and the family's marker in the legend
        for part in [
            "a &lt; b &amp; c", "250 GFLOP/s", "L2 200 GB/s", "L3 100 GB/s", "memory 40.0 GB/s", "NT 3x5x6", "NT 5x5x6",
        ] {
            #expect(reader.text.contains(part) || svg.contains(part), "\(part)")
        }
        #expect(!reader.attributes.contains { $0.contains("href") })  // nothing from elsewhere
    }

    @Test func aRunWithoutPointsStillHasRoofs() throws {
        _ = try read(Roofline(title: "t", subtitle: "s", limits: [limits], points: []).svg)
    }

    @Test func bfloat16HasARoofOfItsOwnWhereItsKernelsAreInUse() throws {
        let limits = MachineLimits(threads: 1, peak: 250e9, bandwidth: [.l2: 200e9])
        func text(_ peak: Double?) throws -> String {
            try read(Roofline(title: "t", subtitle: "s", limits: [limits], points: [], bfloat16Peak: peak).svg).text
        }
        #expect(try text(500e9).contains("500 GFLOP/s"))
        #expect(try !text(nil).contains("bf16"))
    }

    @Test func labelsOfManyPointsInOnePlaceDoNotOverlap() {
        var placement = LabelPlacement(area: Box(left: 0, top: 0, right: 1000, bottom: 600))
        var boxes: [Box] = []
        for index in 0..<20 {
            let x = 400 + Double(index % 3), y = 300 + Double(index % 5)
            placement.block(x, y, radius: 6)
            boxes.append(placement.place(width: 90, height: 14, near: x, y))
        }
        for (index, box) in boxes.enumerated() {
            #expect(box.left >= 0 && box.right <= 1000 && box.top >= 0 && box.bottom <= 600)
            for other in boxes[..<index] { #expect(box.overlap(other) == 0) }
        }
    }
}

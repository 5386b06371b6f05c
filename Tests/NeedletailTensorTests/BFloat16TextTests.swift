// BFloat16 as text, literals and JSON.
import Foundation
import NeedletailTensor
import Testing

@Suite struct BFloat16TextTests {
    @Test func descriptionIsShortAndReadsBack() {
        var failures: [String] = []
        for bits in UInt16(0)..<0x7F80 {
            let x = BFloat16(bitPattern: bits)
            let text = x.description
            let digits = text.prefix { $0 != "e" }.filter { $0 != "." }.drop { $0 == "0" }
            let significant = String(String(digits).reversed().drop { $0 == "0" }).count
            // The nearest decimal of each length, by the C library: none shorter reads back.
            var shortest = 1
            while shortest < 5, BFloat16(Double(String(format: "%.*e", shortest - 1, Double(x)))!) != x {
                shortest += 1
            }
            let ok =
                BFloat16(text) == x && significant <= shortest && significant <= 4 && (-x).description == "-" + text
            if !ok { failures.append("\(bits): \(text)") }
        }
        #expect(failures.isEmpty, "\(failures.count) failures, first: \(failures.prefix(5))")
    }

    @Test(
        arguments: [
            (1, "1.0"), (0, "0.0"), (0.1, "0.1"), (-2.5, "-2.5"), (256, "256.0"), (258, "2.58e+02"),
            (65536, "6.55e+04"),
            (1e-5, "1e-05"), (0.0001, "0.0001"), (3.3895314e38, "3.39e+38"), (100, "100.0"), (3.140625, "3.14"),
            (9.2e-41, "9e-41"), (.infinity, "inf"), (.nan, "nan"),
        ] as [(BFloat16, String)])
    func knownTexts(value: BFloat16, text: String) {
        #expect(value.description == text)
        #expect("\(value)" == text && value.debugDescription == text)
    }

    @Test func readingText() {
        #expect(BFloat16("0x1p-7") == .ulpOfOne && BFloat16("1e400") == .infinity && BFloat16("-inf") == -.infinity)
        #expect(BFloat16("one") == nil && BFloat16("") == nil && BFloat16("nan")!.isNaN)
    }

    @Test func json() throws {
        let values: [BFloat16] = [0, -0.1, 1, .greatestFiniteMagnitude, .leastNonzeroMagnitude]
        let data = try JSONEncoder().encode(values)
        #expect(try JSONDecoder().decode([BFloat16].self, from: data) == values)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([BFloat16].self, from: Data("[3.4e38]".utf8)) }
    }
}

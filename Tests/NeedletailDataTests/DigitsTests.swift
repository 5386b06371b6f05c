// The embedded digits are those of scikit-learn: numbers below by Python, `load_digits()` of scikit-learn 1.9.1.
import NeedletailData
import NeedletailTensor
import Testing

@Suite struct DigitsTests {
    @Test func contentIsScikitLearns() {
        let all = Digits.whole()
        #expect(all.count == 1797 && all.imageShape == [8, 8] && all.classCount == 10 && all.maximum == 16)
        let pixels = all.images.bytes
        #expect(pixels.reduce(0) { $0 + Int($1) } == 561718 && pixels.max() == 16)
        #expect(pixels.enumerated().reduce(0) { ($0 + $1.offset % 1009 * Int($1.element)) } == 283139404)
        #expect(
            all.labelValues.reduce(into: [Int](repeating: 0, count: 10)) { $0[Int($1)] += 1 } == [
                178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
            ])
        #expect(Array(pixels[..<16]) == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0])
    }

    @Test func splitIsFixed() throws {
        let (train, test) = Digits.load()
        #expect(train.count == 1437 && test.count == 360 && train.classCount == 10 && test.classCount == 10)
        #expect(Array(test.labelValues[..<10]) == [0, 5, 0, 5, 0, 5, 0, 5, 8, 3])
        #expect(Array(train.labelValues[..<10]) == [1, 2, 3, 4, 6, 7, 8, 9, 1, 2])
        let batch = try test.batch([0], dtype: .float32)
        let sixteenths = batch.inputs.scalars(as: Float.self).map { $0 * 16 }
        #expect(Array(sixteenths[2..<6]) == [5, 13, 9, 1])
        #expect(Digits.classNames.count == 10)
    }
}

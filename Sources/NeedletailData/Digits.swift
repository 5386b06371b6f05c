// The 1,797 handwritten digits of UCI, 8 x 8, that scikit-learn ships, embedded: training works with no network and no
// file.
//
// "Optical Recognition of Handwritten Digits" (its test set), E. Alpaydin and C. Kaynak, UCI Machine Learning
// Repository, 1998, https://doi.org/10.24432/C50P49, licence CC BY 4.0. See NOTICE.
import Foundation
import NeedletailTensor

/// UCI's optical digits: 1,797 images of 8 × 8 pixels of 0 to 16, ten classes.
///
///     let (train, test) = Digits.load()  // 1437 and 360 images, x = pixel / 16
public enum Digits {
    /// The names of the classes.
    public static let classNames = (0...9).map { "\($0)" }

    /// The images for training and for testing.
    ///
    /// The split is fixed: every fifth row of scikit-learn's `load_digits()`, from row 0, is for testing (360 rows),
    /// the other 1,437 for training, both in the order of the file. So in Python: `test = X[::5]`.
    public static func load() -> (train: ImageDataset, test: ImageDataset) {
        let all = whole()
        let rows = 0..<all.count
        return (all.subset(rows.filter { $0 % 5 != 0 }), all.subset(rows.filter { $0 % 5 == 0 }))
    }

    /// All images in the order of the file.
    package static func whole() -> ImageDataset {
        // Lines of 64 pixels and the label. The text is part of the program, so a fault in it is a defect, not an
        // error.
        do {
            guard let stored = Data(base64Encoded: file, options: .ignoreUnknownCharacters) else {
                fatalError("Digits: the embedded text is not base64")
            }
            let stream = try ByteStream(Array(stored), name: "embedded digits")
            let text = try stream.read(1 << 20)
            var pixels: [UInt8] = []
            var labels: [UInt8] = []
            for line in text.split(separator: UInt8(ascii: "\n")) {
                var numbers = line.split(separator: UInt8(ascii: ",")).map { digits in
                    digits.reduce(0) { $0 * 10 + ($1 - UInt8(ascii: "0")) }
                }
                labels.append(numbers.removeLast())
                pixels += numbers
            }
            return try ImageDataset(
                images: Tensor(bytes: pixels, shape: [labels.count, 8, 8], dtype: .uint8), labels: Tensor(labels),
                classCount: 10, maximum: 16)
        } catch {
            fatalError("Digits: \(error)")
        }
    }
}

// What is strange about labels: classes without an image, labels that training has never seen.

/// Where labels stand: the file's name, and in it the first label's byte and the bytes of each; nil where no file has them.
struct LabelFile: Sendable {
    let name: String
    let offset: (start: Int, step: Int)?

    /// The byte of the label of image `row`.
    func byte(of row: Int) -> Int? { offset.map { $0.start + row * $0.step } }

    func error(label: Int64, of row: Int, expected: String) -> DataFileError {
        DataFileError(
            .label, file: name, offset: byte(of: row), found: "label \(label) of image \(row)", expected: expected)
    }

    /// The file's name, and the byte of the label of image `row`.
    func place(of row: Int) -> String { name + (byte(of: row).map { ", byte \($0)" } ?? "") }
}

extension ImageDataset {
    /// What is strange about the labels of training images, a sentence each: that there is one class only, or that classes have no
    /// image, with the label that may be wrong, its image and its place in the file. Empty for labels as they should be.
    public var labelWarnings: [String] {
        guard count > 0 else { return [] }
        let firstIndices = firstIndices, labels = firstIndices.keys.sorted()
        if labels.count == 1 { return [oneClassWarning(labels[0])] }
        let emptyCount = classCount - labels.count
        guard emptyCount > 0 else { return [] }
        // At most 8 of them, found without a list of all: there may be 2^31 classes.
        var empty: [String] = [], next: Int64 = 0
        for label in labels + [Int64(classCount)] {
            while next < label, empty.count < 8 {
                empty.append("\(next)")
                next += 1
            }
            next = label + 1
        }
        let without =
            "of the \(classCount) classes \(emptyCount == 1 ? "1 has" : "\(emptyCount) have") no training image: "
            + empty.joined(separator: ", ") + (emptyCount > empty.count ? ", …" : "")
        // The label after the widest gap is the one that may be wrong.
        let gaps = zip([-1] + labels, labels).map { (before: $0, label: $1, width: $1 - $0) }
        guard let gap = gaps.max(by: { $0.width < $1.width }), gap.width > 1, let index = firstIndices[gap.label] else {
            return ["\(labelFile.name): \(without)"]
        }
        let order = gap.before < 0 ? "is the smallest" : "is the next after \(gap.before)"
        let row = row(of: index)
        return [
            "\(labelFile.place(of: row)): label \(gap.label) of image \(row) \(order), and \(without); is it a mistake?"
        ]
    }

    /// What is strange about the labels of images that a model trained on `training` is tested with: that there is one class
    /// only, or one that no training image has.
    public func labelWarnings(trainedOn training: ImageDataset) -> [String] {
        guard count > 0 else { return [] }
        let firstIndices = firstIndices, known = training.firstIndices, labels = firstIndices.keys.sorted()
        var warnings = labels.count == 1 && count > 1 && training.classCount > 1 ? [oneClassWarning(labels[0])] : []
        if let label = labels.first(where: { known[$0] == nil }), let index = firstIndices[label] {
            let row = row(of: index)
            warnings.append(
                "\(labelFile.place(of: row)): label \(label) of image \(row) is of a class that no training image has")
        }
        return warnings
    }

    /// Throws `DataFileError` that names the first label which is not below `classCount`, the classes of `model`.
    public func checkLabels(classCount: Int, of model: String) throws {
        guard let index = labelValues.firstIndex(where: { $0 >= classCount }) else { return }
        throw labelFile.error(
            label: labelValues[index], of: row(of: index),
            expected: classCount == 1
                ? "0, the only class of \(model)" : "0 to \(classCount - 1), the classes of \(model)")
    }

    /// The first image of each label.
    private var firstIndices: [Int64: Int] {
        var first: [Int64: Int] = [:]
        for (index, label) in labelValues.enumerated() where first[label] == nil { first[label] = index }
        return first
    }

    private func oneClassWarning(_ label: Int64) -> String {
        "\(labelFile.name): all \(count) labels are \(label): with one class there is nothing to tell apart"
    }
}

// Labels that are strange, and those that cannot be: the warning and the error name the label, its image and the file.
import NeedletailData
import NeedletailTensor
import Testing

@Suite struct LabelTests {
    private func dataset(_ labels: [Int64], classCount: Int? = nil) throws -> ImageDataset {
        try ImageDataset(
            images: Tensor([UInt8](repeating: 0, count: labels.count), shape: [labels.count, 1, 1]),
            labels: Tensor(labels), classCount: classCount)
    }

    @Test(arguments: [1, 2, 10, 256]) func labelsAsTheyShouldBeAreSilent(_ classes: Int) throws {
        let labels = (0..<3 * classes).map { Int64($0 % classes) }
        #expect(try dataset(labels, classCount: classes).labelWarnings.isEmpty == (classes > 1))
        guard classes > 1 else { return }
        let training = try dataset(labels)
        #expect(training.labelWarnings == [] && training.labelWarnings(trainedOn: training) == [])
        #expect(try dataset([1, 0]).labelWarnings(trainedOn: training) == [], "a small test need not have all classes")
    }

    /// Each label alone is wrong at each place of ten good classes; the warning names it and its place.
    @Test(arguments: [11, 12, 99, 255, 65_535, 2_147_483_646] as [Int64]) func oneWrongLabelIsNamed(_ wrong: Int64)
        throws
    {
        for place in [0, 17, 39] {
            var labels = (0..<40).map { Int64($0 % 10) }
            labels[place] = wrong
            let warnings = try dataset(labels).labelWarnings
            #expect(warnings.count == 1)
            let words = [
                "label \(wrong) of image \(place) is the next after 9", "of the \(wrong + 1) classes",
                "no training image: 10",
            ]
            for word in words { #expect(warnings.first?.contains(word) == true, "\(warnings)") }
        }
    }

    @Test func gapsAndOneClassAreTold() throws {
        for (labels, words) in [
            (
                [0, 1, 4, 5],
                ["label 4 of image 2 is the next after 1", "of the 6 classes 2 have no training image: 2, 3;"]
            ),
            ([1, 2, 3], ["label 1 of image 0 is the smallest", "of the 4 classes 1 has no training image: 0;"]),
            ([7, 7, 7], ["all 3 labels are 7"]), ([0], ["all 1 labels are 0"]),
            (
                (0..<10).map { $0 } + [254, 255, 254],
                ["label 254 of image 10", "244 have no training image: 10, 11,", "…"]
            ),
        ] as [([Int64], [String])] {
            let warnings = try dataset(labels).labelWarnings
            #expect(warnings.count == 1)
            for word in words { #expect(warnings.first?.contains(word) == true, "\(warnings)") }
        }
        #expect(
            try dataset([0, 1], classCount: 4).labelWarnings == [
                "labels: of the 4 classes 2 have no training image: 2, 3"
            ])
        let training = try dataset([0, 1, 3, 0])
        #expect(
            try dataset([3, 0, 2]).labelWarnings(trainedOn: training)
                == ["labels: label 2 of image 2 is of a class that no training image has"])
        #expect(try dataset([3, 3]).labelWarnings(trainedOn: training).first?.contains("all 2 labels are 3") == true)
        #expect(try dataset([]).labelWarnings == [])
    }

    /// The place in the file is that of the whole, also of a subset.
    @Test func subsetsNameThePlaceInTheFile() throws {
        let folder = try TemporaryFolder()
        let images = try folder.write("images", IDXFixture.bytes([5, 1, 1], [1, 2, 3, 4, 5]))
        let labels = try folder.write("labels", IDXFixture.bytes([5], [0, 1, 0, 1, 200]))
        let whole = try ImageDataset(imagesAt: images, labelsAt: labels)
        for part in [whole, whole.subset([4, 0, 1]), whole.subset([0, 1, 4]).subset([2, 1, 0])] {
            #expect(part.labelWarnings.first?.hasPrefix("\(labels), byte 12: label 200 of image 4 is") == true)
            let error = #expect(throws: DataFileError.self) { try part.checkLabels(classCount: 10, of: "the model") }
            #expect(
                "\(error as Any)".contains(
                    "\(labels), byte 12: found label 200 of image 4, expected 0 to 9, the classes of the model"))
        }
        #expect(throws: Never.self) { try whole.checkLabels(classCount: 201, of: "the model") }
    }

    @Test func testLabelsAboveTrainingsAreAnError() throws {
        func load(_ training: [UInt8], _ test: [UInt8]) throws -> (train: ImageDataset, test: ImageDataset) {
            let folder = try TemporaryFolder()
            for (name, labels) in [("train", training), ("t10k", test)] {
                try folder.write("\(name)-images-idx3-ubyte", IDXFixture.bytes([labels.count, 1, 1], labels))
                try folder.write("\(name)-labels-idx1-ubyte", IDXFixture.bytes([labels.count], labels))
            }
            return try ImageFolder.find(in: folder.path).load()
        }
        let error = #expect(throws: DataFileError.self) { try load([0, 1, 2], [2, 1, 0, 3]) }
        #expect(
            error?.problem == .label && error?.file.hasSuffix("t10k-labels-idx1-ubyte") == true && error?.offset == 11)
        #expect(error?.found == "label 3 of image 3" && error?.expected.hasPrefix("0 to 2, the classes of ") == true)
        let (train, test) = try load([0, 1, 2, 9], [1, 9])
        #expect(train.classCount == 10 && test.classCount == 10)
        #expect(train.labelWarnings.count == 1 && test.labelWarnings(trainedOn: train) == [])
    }

    @Test func labelsThatAreNoClasses() throws {
        for label in [-1, Int64(Int32.max), .max, .min] {
            let error = #expect(throws: DataFileError.self) { try dataset([0, 1, label]) }
            #expect(error?.problem == .label && error?.found == "label \(label) of image 2")
        }
        let folder = try TemporaryFolder()
        let images = try folder.write("images", IDXFixture.bytes([1, 1, 1], [1]))
        let labels = try folder.write("labels", IDXFixture.file(0x0D, [1], [0x3F, 0x80, 0, 0]))
        let error = #expect(throws: DataFileError.self) { try ImageDataset(imagesAt: images, labelsAt: labels) }
        #expect("\(error as Any)".contains("\(labels): found labels of float32, expected integers"))
    }

    @Test func theEmbeddedDigitsAreSilent() {
        let (train, test) = Digits.load()
        #expect(train.labelWarnings == [] && test.labelWarnings(trainedOn: train) == [])
    }
}

// Four IDX files found under their usual names, and read together.
import NeedletailData
import Testing

private let train = (IDXFixture.bytes([2, 1, 1], [1, 2]), IDXFixture.bytes([2], [0, 1]))
private let test = (IDXFixture.bytes([1, 1, 1], [3]), IDXFixture.bytes([1], [1]))

@Suite struct ImageFolderTests {
    @Test func namesZippedOrNot() throws {
        for subfolder in ["", "raw/"] {
            let folder = try TemporaryFolder()
            try folder.write(subfolder + "train-images-idx3-ubyte.gz", GzipFixture.member(train.0))
            try folder.write(subfolder + "train-labels-idx1-ubyte", train.1)
            try folder.write(subfolder + "t10k-images.idx3-ubyte", test.0)
            try folder.write(subfolder + "t10k-labels.idx1-ubyte.gz", GzipFixture.member(test.1))
            let (trainSet, testSet) = try ImageFolder.find(in: folder.path).load()
            #expect(trainSet.count == 2 && testSet.count == 1 && testSet.images.bytes == [3])
            #expect(trainSet.classCount == 2 && testSet.classCount == 2)
            #expect(try MNIST.find(in: folder.path) == FashionMNIST.find(in: folder.path))
        }
    }

    @Test func missingFilesAreNamed() throws {
        let folder = try TemporaryFolder()
        try folder.write("train-images-idx3-ubyte", train.0)
        try folder.write("train-labels-idx1-ubyte/file", train.1)
        #expect {
            try MNIST.find(in: folder.path)
        } throws: {
            let text = "\($0)"
            return text.hasPrefix(
                "\(folder.path): found no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte, no t10k-labels")
                && !text.contains("no train-images")
        }
        #expect { try ImageFolder.find(in: folder.path + "/absent") } throws: { $0 is DataFileError }
    }

    @Test func setsOfDifferentShape() throws {
        let folder = try TemporaryFolder()
        try folder.write("train-images-idx3-ubyte", train.0)
        try folder.write("train-labels-idx1-ubyte", train.1)
        try folder.write("t10k-images-idx3-ubyte", IDXFixture.bytes([1, 2, 1], [3, 4]))
        try folder.write("t10k-labels-idx1-ubyte", test.1)
        #expect { try ImageFolder.find(in: folder.path).load() } throws: { ($0 as? DataFileError)?.problem == .count }
        #expect { try ImageFolder.find(in: folder.path).load(classCount: 1) } throws: {
            ($0 as? DataFileError)?.problem == .label
        }
    }
}

// The real MNIST and Fashion-MNIST files, where they are at hand.
import NeedletailData
import NeedletailTensor
import Testing

private let hasMNIST = SharedData.exists(SharedData.mnist)
private let hasFashion = SharedData.exists(FashionMNIST.debianDirectory)

@Suite struct MNISTTests {
    @Test(.enabled(if: hasMNIST, "the MNIST files are not in ../shared/data/mnist"))
    func realMNIST() throws {
        let (train, test) = try MNIST.find(in: SharedData.mnist).load(classCount: 10)
        #expect(train.count == 60_000 && test.count == 10_000 && train.imageShape == [28, 28])
        #expect(Array(train.labelValues[..<10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
        #expect(Array(test.labelValues[..<10]) == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
        let batch = try train.batch([0, 59_999], dtype: .float32)
        #expect(batch.inputs.shape == [2, 28, 28] && batch.targets.scalars(as: Int64.self) == [5, 8])
    }

    /// The files at hand are the published ones, so nothing is asked of the address (port 9, where nobody answers).
    @Test(.enabled(if: hasMNIST, "the MNIST files are not in ../shared/data/mnist"))
    func realMNISTNeedsNoDownload() throws {
        let folder = try MNIST.prepareData(directory: SharedData.mnist, baseURL: "http://127.0.0.1:9")
        #expect(folder.trainImages.hasSuffix("train-images-idx3-ubyte.gz"))
    }

    @Test(.enabled(if: hasFashion, "the Debian package dataset-fashion-mnist is not installed"))
    func debiansFashionMNIST() throws {
        #expect(
            try FashionMNIST.prepareData(directory: FashionMNIST.debianDirectory, baseURL: "http://127.0.0.1:9")
                == .find(in: FashionMNIST.debianDirectory))
        let (train, test) = try FashionMNIST.find().load(classCount: FashionMNIST.classNames.count)
        #expect(train.count == 60_000 && test.count == 10_000)
        #expect(Array(train.labelValues[..<10]) == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5])
    }
}

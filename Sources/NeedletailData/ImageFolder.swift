// Where the four IDX files of a data set lie: MNIST's names, as its many mirrors and packages spell them.
import Foundation
import NeedletailFiles
import Synchronization

/// The four IDX files of an image data set, found in a folder.
///
/// Each is looked for under its usual names, `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, with `.gz` or
/// without.
public struct ImageFolder: Sendable, Hashable {
    /// The path of the training images.
    public let trainImages: String
    /// The path of the training labels.
    public let trainLabels: String
    /// The path of the test images.
    public let testImages: String
    /// The path of the test labels.
    public let testLabels: String

    /// The names of the four files, in the order of the properties.
    static let fileNames = [
        "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
    ]

    /// Finds the files in `directory`, or in its subfolder `raw`. Throws `DataFileError.unreadable` naming what is
    /// missing.
    public static func find(in directory: String) throws -> ImageFolder {
        var missing: [String] = []
        for folder in [directory, directory + "/raw"] {
            let paths = fileNames.map { path(of: $0, in: folder) }
            let absent = zip(fileNames, paths).compactMap { $1 == nil ? $0 : nil }
            if absent.isEmpty {
                let found = paths.compactMap { $0 }
                return ImageFolder(
                    trainImages: found[0], trainLabels: found[1], testImages: found[2], testLabels: found[3])
            }
            if missing.isEmpty || absent.count < missing.count { missing = absent }
        }
        throw DataFileError(
            .unreadable, file: directory, found: "no \(missing.joined(separator: ", no "))",
            expected: "the four IDX files of a data set, gzipped (.gz) or not")
    }

    /// The path of the file `name` in `folder` under any of its names; nil where there is none.
    static func path(of name: String, in folder: String) -> String? {
        let dotted = name.replacingOccurrences(of: "-idx", with: ".idx")
        return [name + ".gz", name, dotted + ".gz", dotted].map { folder + "/" + $0 }.first { path in
            FileSystem.kind(FilePath(path)).map { $0 != .folder } ?? false
        }
    }

    /// Reads the files into memory, those of the test on a thread of their own meanwhile.
    ///
    /// Without `classCount` it is the greatest training label plus one. Throws `DataFileError`, as `ImageDataset`, where the
    /// images of the two sets differ in shape, and where a test label is above all training labels.
    public func load(classCount: Int? = nil) throws -> (train: ImageDataset, test: ImageDataset) {
        let (testImages, testLabels) = (testImages, testLabels)
        let loading = Background {
            try ImageDataset(imagesAt: testImages, labelsAt: testLabels, classCount: classCount)
        }
        let train = try ImageDataset(imagesAt: trainImages, labelsAt: trainLabels, classCount: classCount)
        var test = try loading.value()
        guard train.imageShape == test.imageShape else {
            throw DataFileError(
                .count, file: testImages, found: "images \(test.imageShape)",
                expected: "\(train.imageShape), as in \(trainImages)")
        }
        guard train.count > 0 else { return (train, test) }
        try test.checkLabels(classCount: train.classCount, of: trainLabels)
        test.classCount = train.classCount
        return (train, test)
    }
}

/// One piece of work on a thread of its own, or done at once where none can be had.
private final class Background<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)
    private let done = DispatchSemaphore(value: 0)

    init(_ work: @escaping @Sendable () throws -> Value) {
        let run: @Sendable () -> Void = { [self] in
            let found = Result { try work() }
            result.withLock { $0 = found }
            done.signal()
        }
        if !BackgroundThread.start("needletail.load", run) { run() }
    }

    /// What the work came to, once it is done; to be asked for once.
    func value() throws -> Value {
        done.wait()
        guard let found = result.withLock({ $0 }) else { preconditionFailure("signalled without a result") }
        return try found.get()
    }
}

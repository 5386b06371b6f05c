// What `--data` names, and the images behind it: found, downloaded where need be, scaled and split.
import ArgumentParser
import Foundation
import Needletail
import NeedletailFiles

/// A data set by name, or a folder.
enum DataSource: ExpressibleByArgument {
    case digits
    case fashionMNIST
    case mnist
    case folder(String)

    init?(argument: String) {
        switch argument {
        case "digits": self = .digits
        case "fashion-mnist": self = .fashionMNIST
        case "mnist": self = .mnist
        case "": return nil
        default: self = .folder(argument)
        }
    }

    var name: String {
        switch self {
        case .digits: "digits"
        case .fashionMNIST: "fashion-mnist"
        case .mnist: "mnist"
        case .folder(let path): path
        }
    }

    /// Reads the training and test images; MNIST and, where Debian's package is missing, Fashion-MNIST are downloaded once.
    func load() throws -> (train: ImageDataset, test: ImageDataset) {
        switch self {
        case .digits: return Digits.load()
        case .fashionMNIST:
            if let installed = try? FashionMNIST.find() { return try installed.load() }
            return try cached { try FashionMNIST.prepareData(directory: $0, progress: $1) }.load()
        case .mnist: return try cached { try MNIST.prepareData(directory: $0, progress: $1) }.load()
        case .folder(let path): return try ImageFolder.find(in: path).load()
        }
    }

    /// The files in the user's cache folder, put there by `prepare` where they are missing.
    private func cached(
        _ prepare: (String, @escaping @Sendable (DownloadProgress) -> Void) throws -> ImageFolder
    ) throws -> ImageFolder {
        let cache: FilePath
        do { cache = try CacheFolder.path() } catch let error as CacheFolder.Missing {
            throw CommandError.data("--data \(name): \(error)")
        }
        let directory = cache.appending(FilePath("needletail/\(name)"))
        if let found = try? ImageFolder.find(in: directory.text) { return found }
        do {
            try FileSystem.makeFolders(directory)
            try FileSystem.checkWritable(directory)
        } catch let error as FileError {
            throw CommandError.data(
                "--data \(name): nothing that is downloaded can be kept: \(error); set XDG_CACHE_HOME to a folder that "
                    + "can be written to")
        }
        return try prepare(directory.text) { step in
            guard let expected = step.expected, step.received == expected else { return }
            StandardError.line("downloaded \(step.file), \(expected) bytes")
        }
    }
}

/// The option that `train` and `evaluate` share.
struct DataOptions: ParsableArguments {
    @Option(
        name: .customLong("data"),
        help: ArgumentHelp(
            "digits (part of the program), fashion-mnist, mnist, or a folder with MNIST's four IDX files, gzipped or not.",
            valueName: "data"))
    var source: DataSource = .digits
}

/// The images of a job.
struct ClassificationData {
    let train: ImageDataset
    let validation: ImageDataset?
    let test: ImageDataset
    /// What is strange about the labels.
    let warnings: [String]

    /// Loads, scales and splits.
    ///
    /// `validation` images are taken from the training images at random, one in twelve where it is nil (5,000 of 60,000).
    init(_ source: DataSource, validation: Int?, scaling: Scaling, seed: UInt64) throws {
        var (train, test) = try source.load()
        guard train.count > 0, test.count > 0, train.imageShape.reduce(1, *) > 0 else {
            throw CommandError.data(
                "\(source.name): found \(train.count) training and \(test.count) test images of \(train.imageShape), "
                    + "expected at least one of each, of at least one pixel")
        }
        let kept = validation ?? train.count / 12
        guard train.count > kept else {
            throw CommandError.usage(
                "--validation \(kept) leaves no training image: \(source.name) has \(train.count) in all")
        }
        if scaling == .standard {
            let statistics = train.pixelStatistics()
            (train.mean, train.deviation) = statistics
            (test.mean, test.deviation) = statistics
        }
        self.test = test
        warnings = train.labelWarnings + test.labelWarnings(trainedOn: train)
        guard kept > 0 else {
            (self.train, self.validation) = (train, nil)
            return
        }
        let parts = train.randomSplit([train.count - kept, kept], seed: seed)
        (self.train, self.validation) = (parts[0], parts[1])
    }
}

/// Tells what does not keep a command from going on, a line of standard error each.
func warn(_ warnings: [String]) {
    for warning in warnings { StandardError.line("warning: \(warning)") }
}

extension ImageDataset {
    /// Mean and standard deviation of byte / maximum over all pixels; deviation 1 where all are equal.
    fileprivate func pixelStatistics() -> (mean: Double, deviation: Double) {
        let pixels = images.flattened()
        let chunk = 65_536
        var (total, totalOfSquares) = (0.0, 0.0)
        for start in stride(from: 0, to: pixels.count, by: chunk) {
            // UInt32 holds the sum of 65,536 squares of bytes: a short loop that vectorises.
            var (sum, squares): (UInt32, UInt32) = (0, 0)
            for byte in pixels[start..<min(start + chunk, pixels.count)].bytes {
                sum &+= UInt32(byte)
                squares &+= UInt32(byte) &* UInt32(byte)
            }
            total += Double(sum)
            totalOfSquares += Double(squares)
        }
        let mean = total / Double(pixels.count)
        let variance = totalOfSquares / Double(pixels.count) - mean * mean
        return (mean / maximum, variance > 0 ? variance.squareRoot() / maximum : 1)
    }
}

// The handwritten digits of MNIST: 60,000 training and 10,000 test images, 28 x 28, ten classes.

/// The MNIST data of LeCun, Cortes and Burges (CC BY-SA 3.0): found in a folder, or downloaded to one.
///
///     let (train, test) = try MNIST.prepareData(directory: "data/mnist").load()
public enum MNIST {
    /// The names of the classes.
    public static let classNames = (0...9).map { "\($0)" }

    /// A public mirror of the original files.
    public static let publicURL = "https://ossci-datasets.s3.amazonaws.com/mnist"

    /// Finds the four files in `directory`. Throws `DataFileError.unreadable` naming what is missing.
    public static func find(in directory: String) throws -> ImageFolder { try ImageFolder.find(in: directory) }

    /// Downloads to `directory` those files that are not there or are not the published ones; returns where all four
    /// are.
    ///
    /// Each file is checked (size and CRC-32 of its content) before it gets its name. Throws `DataFileError`.
    @discardableResult
    public static func prepareData(
        directory: String, baseURL: String = publicURL, progress: (@Sendable (DownloadProgress) -> Void)? = nil
    ) throws -> ImageFolder {
        try published.prepare(directory: directory, baseURL: baseURL, progress: progress)
        return try ImageFolder.find(in: directory)
    }

    /// Computed from files whose MD5 sums are the published ones (6bbc9ace…, a25bea73…, 2646ac64…, 27ae3e4e…).
    package static let published = PublishedFiles(sizesAndChecksums: [
        (47_040_016, 0xe9f4_d8b3), (60_008, 0xe0cb_4ad2), (7_840_016, 0x9137_3bdf), (10_008, 0x4ab9_eff9),
    ])
}

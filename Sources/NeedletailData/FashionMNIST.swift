// Zalando's articles of clothing in MNIST's form: 60,000 training and 10,000 test images, 28 x 28, ten classes.

/// Fashion-MNIST by Zalando Research (MIT licence): from Debian's package `dataset-fashion-mnist`, a folder, or a
/// download.
///
///     let (train, test) = try FashionMNIST.find().load()
public enum FashionMNIST {
    /// The names of the classes.
    public static let classNames = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]

    /// Where Debian's and Ubuntu's package `dataset-fashion-mnist` puts the files.
    public static let debianDirectory = "/usr/share/datasets/fashion-mnist"

    /// The site that the authors name.
    public static let publicURL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

    /// Finds the four files in `directory`, by default Debian's. Throws `DataFileError.unreadable` naming what is
    /// missing.
    public static func find(in directory: String = debianDirectory) throws -> ImageFolder {
        do {
            return try ImageFolder.find(in: directory)
        } catch let error as DataFileError where directory == debianDirectory {
            throw DataFileError(
                error.problem, file: error.file, found: error.found, expected: error.expected,
                advice: "apt-get install dataset-fashion-mnist")
        }
    }

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

    /// Computed from the files of Debian's package dataset-fashion-mnist 0.0~git20200523.55506a9.
    package static let published = PublishedFiles(sizesAndChecksums: [
        (47_040_016, 0xb4f2_9f28), (60_008, 0x741a_4657), (7_840_016, 0x678f_e0b1), (10_008, 0x8014_2c1f),
    ])
}

// Images of bytes with class labels, in memory; subsets share the bytes.
public import NeedletailTensor

/// Images of unsigned bytes and their classes, normalised when batches are made: x = (byte / maximum - mean) /
/// deviation.
///
/// Shapes: images [N, H, W] (any rank from 2), labels [N]; a batch has inputs [B, H, W] and targets int64 [B].
/// Precision: byte · scale + shift with one fused multiply-add in float32 (float64 for float64), rounded once to the
/// batch's type.
///
///     let (train, test) = try MNIST.find(in: "data").load()
///     let parts = train.randomSplit([55_000, 5_000], seed: 1)
///     let loader = DataLoader(parts[0], batchSize: 64, shuffle: true, seed: 1)
public struct ImageDataset: Dataset {
    /// The number of classes; labels lie in 0 ..< classCount.
    public internal(set) var classCount: Int
    /// Subtracted after the division by `maximum`.
    public var mean: Double
    /// Divides what is left.
    public var deviation: Double
    /// The byte that stands for 1: 255 for photographs, 16 for the digits of UCI.
    public var maximum: Double

    private let allImages: Tensor
    private let allLabels: [Int64]
    /// Where the labels stand, for those who have to be told of one.
    let labelFile: LabelFile
    /// The rows of the whole that belong to this subset; nil for all.
    private let rows: [Int]?

    /// Images and labels from tensors.
    ///
    /// Without `classCount` it is the greatest label plus one. Throws `DataFileError` where images are not uint8 of
    /// rank 2 or more, labels are not integers of rank 1, their numbers differ, or a label is outside the classes.
    public init(
        images: Tensor, labels: Tensor, classCount: Int? = nil, mean: Double = 0, deviation: Double = 1,
        maximum: Double = 255
    ) throws {
        try self.init(
            images: images, labels: labels, classCount: classCount, imageName: "images",
            LabelFile(name: "labels", offset: nil))
        self.mean = mean
        self.deviation = deviation
        self.maximum = maximum
    }

    /// Images and labels from two IDX files, gzipped or not, with the errors of `IDX.read` and those of the tensors.
    public init(imagesAt imagePath: String, labelsAt labelPath: String, classCount: Int? = nil) throws {
        let images = try IDXArray(ByteStream(path: imagePath))
        let labels = try IDXArray(ByteStream(path: labelPath))
        try self.init(
            images: images.tensor, labels: labels.tensor, classCount: classCount, imageName: imagePath,
            LabelFile(name: labelPath, offset: (labels.dataOffset, labels.elementType.byteCount)))
    }

    private init(
        images: Tensor, labels: Tensor, classCount: Int?, imageName: String, _ labelFile: LabelFile
    ) throws {
        let swapped = "are the files of images and labels swapped?"
        guard images.rank >= 2 else {
            throw DataFileError(
                .rank, file: imageName, found: "shape \(images.shape)", expected: "images [N, H, W]",
                advice: swapped)
        }
        guard labels.rank == 1 else {
            throw DataFileError(
                .rank, file: labelFile.name, found: "shape \(labels.shape)", expected: "labels [N]", advice: swapped)
        }
        guard images.dtype == .uint8 else {
            throw DataFileError(
                .elementType, file: imageName, found: "images of \(images.dtype)", expected: "unsigned bytes")
        }
        guard !labels.dtype.isFloatingPoint else {
            throw DataFileError(
                .elementType, file: labelFile.name, found: "labels of \(labels.dtype)",
                expected: "integers", advice: "write them as unsigned bytes")
        }
        guard images.shape[0] == labels.shape[0] else {
            throw DataFileError(
                .count, file: labelFile.name, found: "\(labels.shape[0]) labels",
                expected: "\(images.shape[0]), one for each image of \(imageName)")
        }
        let values = labels.scalars(as: Int64.self)
        let most = classCount ?? Int(Int32.max)
        if let row = values.firstIndex(where: { $0 < 0 || $0 >= most }) {
            throw labelFile.error(
                label: values[row], of: row,
                expected: classCount == nil
                    ? "a class from 0 to \(most - 1)" : "one of \(most) classes, 0 to \(most - 1)")
        }
        self.classCount = classCount ?? Int(values.max() ?? -1) + 1
        self.labelFile = labelFile
        allImages = images.contiguous()
        allLabels = values
        rows = nil
        (mean, deviation, maximum) = (0, 1, 255)
    }

    private init(_ whole: ImageDataset, rows: [Int]) {
        (classCount, mean, deviation, maximum) = (whole.classCount, whole.mean, whole.deviation, whole.maximum)
        (allImages, allLabels, labelFile) = (whole.allImages, whole.allLabels, whole.labelFile)
        self.rows = rows
    }

    /// The number of images.
    public var count: Int { rows?.count ?? allLabels.count }

    /// The shape of one image.
    public var imageShape: [Int] { Array(allImages.shape.dropFirst()) }

    /// The images, uint8 [count, H, W]; of a subset, a copy.
    public var images: Tensor {
        guard let rows else { return allImages }
        let size = imageShape.reduce(1, *)
        let bytes = allImages.bytes
        var chosen: [UInt8] = []
        chosen.reserveCapacity(rows.count * size)
        for row in rows { chosen += bytes[(row * size)..<((row + 1) * size)] }
        return Tensor(bytes: chosen, shape: [rows.count] + imageShape, dtype: .uint8)
    }

    /// The index that image `index` of this subset has in its file.
    func row(of index: Int) -> Int { rows.map { $0[index] } ?? index }

    /// The labels, int64 [count].
    public var labels: Tensor { Tensor(labelValues) }

    /// The labels as integers.
    public var labelValues: [Int64] { rows.map { $0.map { allLabels[$0] } } ?? allLabels }

    /// The images of these indices, normalised, and their labels.
    public func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        for index in indices {
            require((0..<count).contains(index), "ImageDataset.batch: index \(index) is outside 0..<\(count)")
        }
        let chosen = rows.map { rows in indices.map { rows[$0] } } ?? indices
        let inputs = gatherNormalizeRows(
            allImages, rows: chosen, scale: Float(1 / (maximum * deviation)), shift: Float(-mean / deviation),
            dtype: dtype)
        return Batch(inputs: inputs, targets: Tensor(chosen.map { allLabels[$0] }))
    }

    /// The images of these indices, in this order, which may repeat.
    public func subset(_ indices: [Int]) -> ImageDataset {
        for index in indices {
            require((0..<count).contains(index), "ImageDataset.subset: index \(index) is outside 0..<\(count)")
        }
        return ImageDataset(self, rows: rows.map { rows in indices.map { rows[$0] } } ?? indices)
    }

    /// The images of a range of indices.
    public func subset(_ range: Range<Int>) -> ImageDataset { subset(Array(range)) }

    /// Disjoint random subsets of these sizes, which must add up to `count`; the same seed gives the same subsets.
    public func randomSplit(_ counts: [Int], seed: UInt64) -> [ImageDataset] {
        require(
            counts.allSatisfy { $0 >= 0 } && counts.reduce(0, +) == count,
            "ImageDataset.randomSplit: found sizes \(counts), expected sizes that add up to \(count)")
        var generator = SeededGenerator(seed: seed, stream: RandomStream.split)
        let order = generator.permutation(count)
        var start = 0
        return counts.map { size in
            defer { start += size }
            return subset(Array(order[start..<(start + size)]))
        }
    }
}

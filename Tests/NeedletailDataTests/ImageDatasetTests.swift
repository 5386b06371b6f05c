// Images with labels: normalisation, subsets, and files that do not fit each other.
import NeedletailData
import NeedletailTensor
import Testing

/// Six images of 1 x 2, bytes 0 to 11, labels 0, 1, 2, 0, 1, 2.
private func sample() throws -> ImageDataset {
    try ImageDataset(
        images: Tensor((0..<12).map { UInt8($0) }, shape: [6, 1, 2]), labels: Tensor([0, 1, 2, 0, 1, 2] as [Int64]))
}

private func problem(_ body: () throws -> Void) -> DataFileError? {
    do {
        try body()
        return nil
    } catch { return error as? DataFileError }
}

@Suite struct ImageDatasetTests {
    @Test func batchesAreNormalised() throws {
        var dataset = try sample()
        dataset.mean = 0.25
        dataset.deviation = 0.5
        let (scale, shift) = (Float(1 / (255 * 0.5)), Float(-0.25 / 0.5))
        for dtype in [DType.float32, .bfloat16, .float16, .float64] {
            let batch = try dataset.batch([4, 0, 4], dtype: dtype)
            #expect(batch.count == 3 && batch.inputs.shape == [3, 1, 2] && batch.inputs.dtype == dtype)
            #expect(batch.targets.dtype == .int64 && batch.targets.scalars(as: Int64.self) == [1, 0, 1])
            for (index, byte) in [8, 9, 0, 1, 8, 9].enumerated() {
                let wide = Double(byte) * Double(scale) + Double(shift)
                let exact = shift.addingProduct(Float(byte), scale)
                let expected: Double =
                    switch dtype {
                    case .bfloat16: Double(BFloat16(exact))
                    case .float16: Double(Float16(exact))
                    case .float64: wide
                    default: Double(exact)
                    }
                // In float64 the product of two 24-bit numbers is exact, so one rounding is the fused result.
                #expect(batch.inputs.scalars(as: Double.self)[index] == expected, "\(dtype) \(index)")
            }
        }
        #expect(try dataset.batch([], dtype: .float32).count == 0)
    }

    @Test func classesAndShapes() throws {
        let dataset = try sample()
        #expect(dataset.count == 6 && dataset.classCount == 3 && dataset.imageShape == [1, 2])
        #expect(dataset.labels.scalars(as: Int64.self) == [0, 1, 2, 0, 1, 2] && dataset.images.shape == [6, 1, 2])
        let wider = try ImageDataset(images: dataset.images, labels: dataset.labels, classCount: 10, maximum: 11)
        #expect(wider.classCount == 10 && wider.maximum == 11)
    }

    @Test func subsetsOfSubsets() throws {
        let part = try sample().subset([5, 3, 1, 3]).subset(1..<4)
        #expect(part.count == 3 && part.labelValues == [0, 1, 0])
        #expect(part.images.shape == [3, 1, 2] && part.images.bytes == [6, 7, 2, 3, 6, 7])
        let batch = try part.batch([2, 1], dtype: .float64)
        #expect(batch.targets.scalars(as: Int64.self) == [0, 1])
        #expect(batch.inputs.scalars(as: Double.self) == [6, 7, 2, 3].map { $0 * Double(Float(1.0 / 255)) })
    }

    @Test func randomSplitIsSeededAndDisjoint() throws {
        let count = 100
        let dataset = try ImageDataset(
            images: Tensor((0..<count).map { UInt8($0) }, shape: [count, 1, 1]),
            labels: Tensor([Int64](repeating: 0, count: count)))
        let parts = dataset.randomSplit([70, 0, 30], seed: 5)
        #expect(parts.map(\.count) == [70, 0, 30])
        #expect((parts[0].images.bytes + parts[2].images.bytes).sorted() == (0..<100).map { UInt8($0) })
        #expect(dataset.randomSplit([70, 30], seed: 5)[0].images.bytes == parts[0].images.bytes)
        #expect(dataset.randomSplit([70, 30], seed: 6)[0].images.bytes != parts[0].images.bytes)
    }

    @Test func tensorsThatDoNotFit() throws {
        let images = Tensor([UInt8](repeating: 0, count: 12), shape: [6, 1, 2])
        let labels = Tensor([0, 1, 2, 0, 1, 9] as [Int32])
        let cases: [(Tensor, Tensor, Int?, DataFileError.Problem)] = [
            (images, labels, 9, .label), (images, Tensor([0, 1, 2, 0, 1, -1] as [Int64]), nil, .label),
            (images, Tensor([0, 1] as [Int64]), nil, .count), (labels, images, nil, .rank),
            (images, images, nil, .rank), (images.cast(to: .float32), labels, nil, .elementType),
            (images, labels.cast(to: .float32), nil, .elementType),
        ]
        for (images, labels, classes, expected) in cases {
            let error = try #require(
                problem { _ = try ImageDataset(images: images, labels: labels, classCount: classes) })
            #expect(error.problem == expected, "\(error)")
        }
        #expect(try ImageDataset(images: images, labels: labels).classCount == 10)
    }

    @Test func filesThatDoNotFit() throws {
        let folder = try TemporaryFolder()
        let images = try folder.write("images", IDXFixture.bytes([3, 2, 2], [UInt8](repeating: 1, count: 12)))
        let labels = try folder.write("labels.gz", GzipFixture.member(IDXFixture.bytes([3], [0, 7, 10])))
        let few = try folder.write("few", IDXFixture.bytes([2], [0, 1]))
        #expect(try ImageDataset(imagesAt: images, labelsAt: labels).count == 3)
        let label = try #require(problem { _ = try ImageDataset(imagesAt: images, labelsAt: labels, classCount: 10) })
        #expect(
            label.description == "\(labels), byte 10: found label 10 of image 2, expected one of 10 classes, 0 to 9")
        let count = try #require(problem { _ = try ImageDataset(imagesAt: images, labelsAt: few) })
        #expect(count.description == "\(few): found 2 labels, expected 3, one for each image of \(images)")
        let swapped = try #require(problem { _ = try ImageDataset(imagesAt: labels, labelsAt: images) })
        #expect(swapped.problem == .rank && swapped.file == labels && swapped.description.contains("swapped"))
        let signed = try folder.write("signed", IDXFixture.file(9, [3], [0, 1, 0xFF]))
        #expect(problem { _ = try ImageDataset(imagesAt: images, labelsAt: signed) }?.offset == 10)
        let short = try folder.write("short", IDXFixture.file(0x0B, [3], [0, 1, 0, 2, 1, 0]))
        let wide = try #require(problem { _ = try ImageDataset(imagesAt: images, labelsAt: short, classCount: 10) })
        #expect(wide.offset == 12 && wide.found == "label 256 of image 2")
    }
}

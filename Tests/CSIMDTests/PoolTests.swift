import CSIMD
import Testing

@Suite struct PoolTests {
    private func shape(
        _ kind: csimd_pool_kind, _ type: csimd_type, _ size: (Int, Int), channels: Int, kernel: (Int, Int) = (2, 2),
        stride: (Int, Int) = (2, 2), padding: (Int, Int) = (0, 0), output: (Int, Int)? = nil, counts: Bool = true
    ) -> csimd_pool_shape {
        csimd_pool_shape(
            kind: kind, type: type, batch: 2, height: size.0, width: size.1, channels: channels,
            output_height: output?.0 ?? (size.0 + 2 * padding.0 - kernel.0) / stride.0 + 1,
            output_width: output?.1 ?? (size.1 + 2 * padding.1 - kernel.1) / stride.1 + 1, kernel_height: kernel.0,
            kernel_width: kernel.1, stride_height: stride.0, stride_width: stride.1, padding_height: padding.0,
            padding_width: padding.1, counts_padding: counts)
    }

    private func shapes(_ type: csimd_type) -> [csimd_pool_shape] {
        [
            shape(CSIMD_POOL_MAX, type, (4, 6), channels: 64), shape(CSIMD_POOL_MAX, type, (5, 5), channels: 3),
            shape(CSIMD_POOL_MAX, type, (6, 7), channels: 19, kernel: (3, 3), stride: (2, 1), padding: (1, 1)),
            shape(CSIMD_POOL_MAX, type, (7, 7), channels: 8, kernel: (1, 2), stride: (3, 3)),
            shape(CSIMD_POOL_AVERAGE, type, (4, 6), channels: 33),
            shape(CSIMD_POOL_AVERAGE, type, (5, 7), channels: 4, kernel: (3, 3), stride: (1, 2), padding: (1, 1)),
            shape(CSIMD_POOL_AVERAGE, type, (5, 7), channels: 4, kernel: (3, 2), padding: (1, 0), counts: false),
            shape(CSIMD_POOL_ADAPTIVE, type, (5, 7), channels: 17, output: (2, 3)),
            shape(CSIMD_POOL_ADAPTIVE, type, (2, 3), channels: 5, output: (5, 3)),
            shape(CSIMD_POOL_ADAPTIVE, type, (6, 6), channels: 32, output: (1, 1)),
        ]
    }

    /// The pixels of window (i, j), and what each counts for in a mean.
    private func window(_ s: csimd_pool_shape, _ i: Int, _ j: Int) -> (pixels: [(Int, Int)], weight: Double) {
        func range(_ i: Int, _ size: Int, _ output: Int, _ kernel: Int, _ stride: Int, _ padding: Int) -> Range<Int> {
            if s.kind == CSIMD_POOL_ADAPTIVE { return i * size / output..<((i + 1) * size + output - 1) / output }
            let start = i * stride - padding
            return max(0, start)..<min(size, start + kernel)
        }
        let rows = range(i, s.height, s.output_height, s.kernel_height, s.stride_height, s.padding_height)
        let columns = range(j, s.width, s.output_width, s.kernel_width, s.stride_width, s.padding_width)
        let whole = s.kind == CSIMD_POOL_AVERAGE && s.counts_padding
        let area = whole ? s.kernel_height * s.kernel_width : rows.count * columns.count
        return (rows.flatMap { row in columns.map { (row, $0) } }, 1 / Double(area))
    }

    @Test func resultsAreThoseOfTheFormulas() {
        for type in TypedBuffer.allTypes {
            for (number, shape) in shapes(type).enumerated() {
                let arena = BufferArena()
                defer { arena.release() }
                var s = shape
                var random = TestRandom(UInt64(number))
                let count = s.batch * s.height * s.width * s.channels
                let results = s.batch * s.output_height * s.output_width * s.channels
                let x = arena.make(type, (0..<count).map { _ in random.normal() })
                let dy = arena.make(type, (0..<results).map { _ in random.normal() })
                var y = [Double](repeating: 0, count: results), dx = [Double](repeating: 0, count: count), masked = dx
                for index in 0..<results {
                    let channel = index % s.channels, j = index / s.channels % s.output_width
                    let i = index / s.channels / s.output_width % s.output_height
                    let b = index / s.channels / s.output_width / s.output_height
                    let (pixels, weight) = window(s, i, j)
                    let places = pixels.map { ((b * s.height + $0.0) * s.width + $0.1) * s.channels + channel }
                    if s.kind == CSIMD_POOL_MAX {
                        let values = places.map { x[$0] }, largest = values.max() ?? 0
                        y[index] = largest
                        let place = places[values.firstIndex(of: largest) ?? 0]
                        dx[place] += dy[index]
                        if largest > 0 { masked[place] += dy[index] }
                    } else {
                        for place in places {
                            y[index] += weight * x[place]
                            dx[place] += weight * dy[index]
                        }
                    }
                }
                forEachRow { row in
                    let name = "shape \(number), type \(type.rawValue), \(row)"
                    func run() -> [TypedBuffer] {
                        let result = arena.make(type, count: results), gradient = arena.make(type, count: count)
                        guard s.kind == CSIMD_POOL_MAX else {
                            #expect(csimd_average_pool(&s, x.pointer, result.pointer) == CSIMD_OK)
                            #expect(csimd_average_pool_gradient(&s, dy.pointer, gradient.pointer) == CSIMD_OK)
                            return [result, gradient]
                        }
                        let places = arena.make(CSIMD_F16, count: results), other = arena.make(type, count: count)
                        let numbers = places.pointer.assumingMemoryBound(to: UInt16.self)
                        #expect(csimd_max_pool(&s, x.pointer, result.pointer, numbers) == CSIMD_OK)
                        #expect(csimd_max_pool_gradient(&s, dy.pointer, numbers, nil, gradient.pointer) == CSIMD_OK)
                        #expect(
                            csimd_max_pool_gradient(&s, dy.pointer, numbers, result.pointer, other.pointer) == CSIMD_OK)
                        return [result, gradient, other]
                    }
                    let found = withThreads(1, run)
                    for (result, expected) in zip(found, [y, dx, masked]) {
                        for index in expected.indices {
                            // At most 36 terms of magnitude at most 6 in float32, one rounding.
                            let bound =
                                36 * 6 * arithmeticRoundoff(type) + storageRounding(type, abs(expected[index]) * 1.001)
                            #expect(abs(result[index] - expected[index]) <= bound, "\(name) at \(index)")
                        }
                    }
                    let again = withThreads(3, run)
                    #expect(zip(found, again).allSatisfy { $0.hasSameBits(as: $1) }, "\(name): threads")
                }
            }
        }
    }

    @Test func nanIsTheMaximum() {
        forEachRow { row in
            let arena = BufferArena()
            defer { arena.release() }
            var s = shape(CSIMD_POOL_MAX, CSIMD_F32, (2, 2), channels: 1)
            let x = arena.make(CSIMD_F32, [1, .nan, 7, 3, -.infinity, -.infinity, -.infinity, -.infinity])
            let y = arena.make(CSIMD_F32, count: 2), places = arena.make(CSIMD_F16, count: 2)
            let numbers = places.pointer.assumingMemoryBound(to: UInt16.self)
            #expect(csimd_max_pool(&s, x.pointer, y.pointer, numbers) == CSIMD_OK)
            #expect(y[0].isNaN && y[1] == -.infinity && places[0] == 1 && places[1] == 0, "\(row)")
        }
    }

    @Test func wrongShapesAreRefused() {
        let right = shape(CSIMD_POOL_MAX, CSIMD_F32, (4, 4), channels: 2)
        let wrong: [(inout csimd_pool_shape) -> Void] = [
            { $0.kernel_height = 0 }, { $0.stride_width = 0 }, { $0.padding_height = 2 }, { $0.output_width = 3 },
            { $0.kernel_width = 5 }, { $0.kind = CSIMD_POOL_AVERAGE }, { $0.height = 0 },
        ]
        var values = [Float](repeating: 0, count: 64)
        var places = [UInt16](repeating: 0, count: 64)
        for change in wrong {
            var s = right
            change(&s)
            #expect(csimd_max_pool(&s, values, &values, &places) == CSIMD_INVALID_ARGUMENT)
        }
    }
}

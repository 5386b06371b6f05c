import CSIMD
import Testing

@Suite struct BatchNormTests {
    private static let shapes = [(1, 1, 1), (1, 5, 3), (2, 130, 16), (1, 600, 33), (3, 64, 40), (1, 129, 128)]

    /// Statistics: as in ``HardColumnTests``. Results: four roundings and the last.
    @Test func resultsAreThoseOfTheFormulas() {
        for type in TypedBuffer.allTypes {
            for (number, (instances, rows, channels)) in Self.shapes.enumerated() {
                let arena = BufferArena()
                defer { arena.release() }
                var random = TestRandom(UInt64(number))
                let count = instances * rows * channels, values = instances * channels
                // Means that are large beside the deviation, as float32 sums of squares would not bear.
                let x = arena.make(type, (0..<count).map { 30 + Double($0 % channels) + random.normal() })
                let dy = arena.make(type, (0..<count).map { _ in random.normal() })
                let wide = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
                let scale = arena.make(wide, (0..<values).map { _ in random.normal() })
                let shift = arena.make(wide, (0..<values).map { _ in random.normal() })
                let constant = arena.make(wide, (0..<values).map { _ in random.normal() })
                func column(_ index: Int) -> [Int] {
                    (0..<rows).map { ((index / channels) * rows + $0) * channels + index % channels }
                }
                let means = (0..<values).map { column($0).reduce(0) { $0 + x[$1] } / Double(rows) }
                forEachRow { row in
                    let name = "shape \(number), type \(type.rawValue), \(row)"
                    let unit = arithmeticRoundoff(type)
                    func run() -> [TypedBuffer] {
                        let exact = (0..<3).map { _ in arena.make(CSIMD_F64, count: values) }
                        let made = (0..<2).map { _ in arena.make(wide, count: values) }
                        let y = arena.make(type, count: count), dx = arena.make(type, count: count)
                        let (sum, product) = (made[0], made[1])
                        let doubles = exact.map { $0.pointer.bindMemory(to: Double.self, capacity: values) }
                        #expect(
                            csimd_moments(
                                type, instances, rows, channels, x.pointer, 1e-5, doubles[0], doubles[1], doubles[2])
                                == CSIMD_OK)
                        let mean = arena.make(wide, exact[0].values)
                        #expect(
                            csimd_normalize(
                                type, instances, rows, channels, x.pointer, mean.pointer, scale.pointer, shift.pointer,
                                number % 2 == 0, y.pointer) == CSIMD_OK)
                        #expect(
                            csimd_normalize_sums(
                                type, instances, rows, channels, x.pointer, dy.pointer, mean.pointer, sum.pointer,
                                product.pointer) == CSIMD_OK)
                        #expect(
                            csimd_normalize_gradient(
                                type, instances, rows, channels, x.pointer, dy.pointer, mean.pointer, scale.pointer,
                                shift.pointer, constant.pointer, dx.pointer) == CSIMD_OK)
                        return [mean, exact[2]] + made + [y, dx]
                    }
                    let found = withThreads(1, run)
                    for index in 0..<values {
                        let places = column(index), mean = found[0][index]
                        #expect(abs(mean - means[index]) <= 70 * unit * (abs(means[index]) + 4), "\(name) mean")
                        let squares = places.reduce(0) { $0 + (x[$1] - means[index]) * (x[$1] - means[index]) }
                        let off = mean - means[index]
                        #expect(
                            abs(found[1][index] - squares / Double(rows))
                                <= 80 * unit * (squares / Double(rows)) + 2 * off * off + 4 * unit * abs(mean),
                            "\(name) variance")
                        let sizes = places.reduce(0) { $0 + abs(dy[$1]) }
                        #expect(
                            abs(found[2][index] - places.reduce(0) { $0 + dy[$1] }) <= 70 * unit * sizes + 1e-300,
                            "\(name) sum")
                        let products = places.map { dy[$0] * (x[$0] - mean) }
                        #expect(
                            abs(found[3][index] - products.reduce(0, +))
                                <= 80 * unit * products.reduce(0) { $0 + abs($1) } + 1e-300, "\(name) product")
                        for place in places {
                            let d = x[place] - mean
                            let z = d * scale[index] + shift[index], y = number % 2 == 0 ? max(0, z) : z
                            let size = abs(d * scale[index]) + abs(shift[index])
                            #expect(
                                abs(found[4][place] - y) <= 4 * unit * size + storageRounding(type, abs(y) * 1.001),
                                "\(name) y")
                            let terms = [scale[index] * dy[place], shift[index] * d, constant[index]]
                            let dx = terms.reduce(0, +), sum = terms.reduce(0) { $0 + abs($1) }
                            #expect(
                                abs(found[5][place] - dx) <= 4 * unit * sum + storageRounding(type, abs(dx) * 1.001),
                                "\(name) dx")
                        }
                    }
                    let again = withThreads(3, run)
                    #expect(zip(found, again).allSatisfy { $0.hasSameBits(as: $1) }, "\(name): threads")
                }
            }
        }
    }
}

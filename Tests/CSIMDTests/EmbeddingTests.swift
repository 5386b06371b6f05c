import CSIMD
import Testing

@Suite struct EmbeddingTests {
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue)) func rowsAndTheirGradients(_ rawType: UInt32) {
        let type = csimd_type(rawType), u = arithmeticRoundoff(type)
        let arena = BufferArena()
        defer { arena.release() }
        var random = TestRandom(1)
        for columns in [1, 7, 16, 33, 130, 300] {
            let rows = 5, count = 70
            let table = arena.make(type, (0..<rows * columns).map { _ in random.normal() })
            let dy = arena.make(type, (0..<count * columns).map { _ in random.normal() })
            let names = (0..<count).map { _ in Int64(random.bits() % 4) }  // row 4 is never named
            let index = arena.make(targets: names)
            let values = table.values, slopes = dy.values
            forEachRow { kernels in
                for threads: Int32 in [1, 3] {
                    withThreads(threads) {
                        let y = arena.make(type, count: count * columns)
                        #expect(
                            csimd_embedding(type, rows, columns, count, table.pointer, index, y.pointer, nil)
                                == CSIMD_OK)
                        let isRight = (0..<count * columns).allSatisfy {
                            y[$0] == values[Int(names[$0 / columns]) * columns + $0 % columns]
                        }
                        #expect(isRight, "\(kernels) \(columns)")
                        let sums = arena.make(type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32, count: rows * columns)
                        for accumulate in [false, true] {
                            #expect(
                                csimd_embedding_gradient(
                                    type, rows, columns, count, dy.pointer, index, accumulate, sums.pointer) == CSIMD_OK
                            )
                            for element in 0..<rows * columns {
                                var exact = 0.0, size = 0.0
                                for i in 0..<count where Int(names[i]) == element / columns {
                                    exact += slopes[i * columns + element % columns]
                                    size += abs(slopes[i * columns + element % columns])
                                }
                                let times = accumulate ? 2.0 : 1
                                // At most 140 additions.
                                let isClose = abs(sums[element] - times * exact) <= 140 * u * times * size
                                #expect(isClose, "\(kernels) \(columns) at \(element)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test func anIndexOutsideIsReportedAndNothingWritten() {
        let arena = BufferArena()
        defer { arena.release() }
        let table = arena.make(CSIMD_F32, [1, 2]), y = arena.make(CSIMD_F32, [7, 7, 7])
        for wrong: Int64 in [2, -1, .min, .max] {
            let index = arena.make(targets: [0, 1, wrong])
            var bad = 0
            #expect(csimd_embedding(CSIMD_F32, 2, 1, 3, table.pointer, index, y.pointer, &bad) == CSIMD_BAD_TARGET)
            #expect(bad == 2 && y.values == [7, 7, 7])
            #expect(
                csimd_embedding_gradient(CSIMD_F32, 2, 1, 3, y.pointer, index, false, table.pointer) == CSIMD_BAD_TARGET
            )
        }
    }

    /// Two products and a sum: 3 u of |a c| + |b s|.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue)) func rotationAndItsInverse(_ rawType: UInt32) {
        let type = csimd_type(rawType), u = arithmeticRoundoff(type), angles = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32
        let arena = BufferArena()
        defer { arena.release() }
        var random = TestRandom(2)
        for size in [2, 6, 16, 34, 64] {
            let rows = 70, heads = 3, half = size / 2, stride = heads * size + 5, period = 35, first = 2
            let x = arena.make(type, (0..<rows * stride).map { _ in random.normal() })
            let cosine = arena.make(angles, (0..<(first + period) * half).map { _ in 2 * random.uniform() - 1 })
            let sine = arena.make(angles, (0..<(first + period) * half).map { _ in 2 * random.uniform() - 1 })
            for inverse in [false, true] {
                forEachRow { kernels in
                    for threads: Int32 in [1, 3] {
                        withThreads(threads) {
                            let y = arena.make(type, count: rows * heads * size)
                            var arguments = csimd_rotary_args(
                                type: type, rows: rows, heads: heads, head_size: size, x_stride: stride, x: x.pointer,
                                cosine: cosine.pointer, sine: sine.pointer, first_position: first, period: period,
                                inverse: inverse, y: y.pointer)
                            #expect(csimd_rotary(&arguments) == CSIMD_OK)
                            for element in 0..<y.count {
                                let row = element / (heads * size), d = element % size, j = d % half
                                let at = row * stride + element % (heads * size)
                                let angle = (first + row % period) * half + j
                                let other = d < half ? x[at + half] : x[at - half]
                                let sign: Double = (d < half) == inverse ? 1 : -1
                                let parts = (x[at] * cosine[angle], sign * other * sine[angle])
                                let exact = parts.0 + parts.1, bound = 3 * u * (abs(parts.0) + abs(parts.1))
                                let isClose =
                                    abs(y[element] - exact) <= bound + storageRounding(type, abs(exact) + bound)
                                #expect(isClose, "\(kernels) \(size) at \(element)")
                            }
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue)) func dropoutFollowsTheGenerator(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        let arena = BufferArena()
        defer { arena.release() }
        var random = TestRandom(3)
        for count in Array(0...40) + [511, 512, 513, 545, 1100, 20000] {
            let x = arena.make(type, (0..<count).map { _ in 1 + random.uniform() })
            for (probability, position) in [(0.37, UInt64(0)), (0.5, 0xFFFF_FFFD), (0.25, 7)] {
                var bits: [[Double]] = []
                forEachRow { _ in
                    for threads: Int32 in [1, 3] {
                        withThreads(threads) {
                            let y = arena.make(type, count: count)
                            #expect(
                                csimd_dropout(
                                    type, count, x.pointer, probability, 0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210,
                                    position, y.pointer) == CSIMD_OK)
                            bits.append(y.values)
                        }
                    }
                }
                #expect(bits.allSatisfy { $0 == bits[0] })
                // Which are kept, by the generator written out; kept values by one product and one rounding.
                for index in 0..<count {
                    let kept = philoxUniform(position + UInt64(index)) >= probability
                    let exact = kept ? x[index] / (1 - probability) : 0
                    let isClose =
                        abs(bits[0][index] - exact) <= 3 * arithmeticRoundoff(type) * exact
                        + storageRounding(type, exact)
                    #expect(isClose && (bits[0][index] != 0) == kept, "count \(count) at \(index)")
                }
            }
        }
    }

    private func philoxUniform(_ position: UInt64) -> Double {
        var x: [UInt32] = [
            UInt32(truncatingIfNeeded: position >> 1), UInt32(position >> 33), 0x7654_3210, 0xFEDC_BA98,
        ]
        var key: [UInt32] = [0x89AB_CDEF, 0x0123_4567]
        for _ in 0..<10 {
            let p = UInt64(x[0]) * 0xD251_1F53, q = UInt64(x[2]) * 0xCD9E_8D57
            x = [
                UInt32(q >> 32) ^ x[1] ^ key[0], UInt32(truncatingIfNeeded: q), UInt32(p >> 32) ^ x[3] ^ key[1],
                UInt32(truncatingIfNeeded: p),
            ]
            key = [key[0] &+ 0x9E37_79B9, key[1] &+ 0xBB67_AE85]
        }
        let word = position & 1 == 0 ? UInt64(x[0]) | UInt64(x[1]) << 32 : UInt64(x[2]) | UInt64(x[3]) << 32
        return Double(word >> 11) * 0x1p-53
    }
}

import CSIMD
import Foundation
import Testing

/// Shape and options of one attention.
struct AttentionShape {
    var batch = 1, heads = 1, keyHeads = 1, queries = 1, keys = 1, size = 1
    var causal = false
    var mask: [UInt8]?

    var queryCount: Int { batch * heads * queries * size }
    var keyCount: Int { batch * keyHeads * keys * size }
    var scale: Double { 1 / Double(size).squareRoot() }

    /// Element of [batch, rows, heads, size], the layout of all operands here.
    func query(_ b: Int, _ h: Int, _ i: Int) -> Int { ((b * queries + i) * heads + h) * size }
    func key(_ b: Int, _ h: Int, _ j: Int) -> Int { ((b * keys + j) * keyHeads + h / (heads / keyHeads)) * size }

    func sees(_ b: Int, _ i: Int, _ j: Int) -> Bool {
        (!causal || j <= i + keys - queries) && (mask.map { $0[b * keys + j] != 0 } ?? true)
    }
}

/// The formulas in Double, and beside each result what its error may be.
///
/// With u of the arithmetic, w of weights and slopes when they enter a product (u, or 2^-9 where they are rounded to bf16) and n
/// the longest sum: a score s is off by e = (size + 3) u scale Σ|q||k|, a log-sum-exp by the largest e of its row and 3 u |lse|,
/// and so p by p (2 e + (2 + 0.05 |s - lse|) u + 3 u |lse| + n u) relative: call that r. Then
///   o: Σ p |v| (r + w + n u);   do·v and δ: (size + 2) u Σ|do||v| + Σ|do| err(o), where o is what was stored;
///   slopes: scale p (r (|do·v| + |δ|) + their errors) + 3 u |slope|;
///   dq, dk, dv: Σ (err(slope) + (w + n u) |slope|) |k| and so on, the same with p for dv.
struct AttentionReference {
    var o: [Double], dq: [Double], dk: [Double], dv: [Double]
    var oBound: [Double], dqBound: [Double], dkBound: [Double], dvBound: [Double]

    init(
        _ shape: AttentionShape, q: [Double], k: [Double], v: [Double], dy: [Double], u: Double, weight w: Double,
        stored: (Double) -> Double
    ) {
        let s = shape, n = Double(max(s.keys, s.queries) * (s.heads / s.keyHeads))
        (o, dq, dk, dv) = (
            q.map { _ in 0 }, q.map { _ in 0 }, k.map { _ in 0 }, k.map { _ in 0 }
        )
        (oBound, dqBound, dkBound, dvBound) = (o, dq, dk, dv)
        for b in 0..<s.batch {
            for h in 0..<s.heads {
                for i in 0..<s.queries {
                    let at = s.query(b, h, i), seen = (0..<s.keys).filter { s.sees(b, i, $0) }
                    if seen.isEmpty { continue }
                    var scores: [Double] = [], errors: [Double] = []
                    for j in seen {
                        var sum = 0.0, size = 0.0
                        for d in 0..<s.size {
                            let product = q[at + d] * k[s.key(b, h, j) + d]
                            sum += product
                            size += abs(product)
                        }
                        scores.append(sum * s.scale)
                        errors.append(Double(s.size + 3) * u * size * s.scale)
                    }
                    let largest = scores.max() ?? 0, worst = errors.max() ?? 0
                    let total = largest + log(scores.reduce(0) { $0 + exp($1 - largest) })
                    let p = scores.map { exp($0 - total) }
                    let r = scores.map { 2 * worst + (4 + 0.05 * abs($0 - total) + 3 * abs(total) + n) * u }
                    for (index, j) in seen.enumerated() {
                        for d in 0..<s.size {
                            let value = v[s.key(b, h, j) + d]
                            o[at + d] += p[index] * value
                            oBound[at + d] += p[index] * abs(value) * (r[index] + w + n * u)
                        }
                    }
                    for d in 0..<s.size { oBound[at + d] += stored(abs(o[at + d]) + oBound[at + d]) }
                    var delta = 0.0, deltaError = 0.0
                    for d in 0..<s.size {
                        delta += dy[at + d] * o[at + d]
                        deltaError += abs(dy[at + d]) * (oBound[at + d] + Double(s.size + 2) * u * abs(o[at + d]))
                    }
                    for (index, j) in seen.enumerated() {
                        let key = s.key(b, h, j)
                        var product = 0.0, size = 0.0
                        for d in 0..<s.size {
                            product += dy[at + d] * v[key + d]
                            size += abs(dy[at + d] * v[key + d])
                        }
                        let slope = p[index] * (product - delta) * s.scale
                        let both = r[index] * (abs(product) + abs(delta)) + Double(s.size + 2) * u * size + deltaError
                        let slopeError = s.scale * p[index] * both + (3 * u + w + n * u) * abs(slope)
                        let weightError = p[index] * (r[index] + w + n * u)
                        for d in 0..<s.size {
                            dq[at + d] += slope * k[key + d]
                            dqBound[at + d] += slopeError * abs(k[key + d])
                            dk[key + d] += slope * q[at + d]
                            dkBound[key + d] += slopeError * abs(q[at + d])
                            dv[key + d] += p[index] * dy[at + d]
                            dvBound[key + d] += weightError * abs(dy[at + d])
                        }
                    }
                }
            }
        }
        for index in dq.indices { dqBound[index] += stored(abs(dq[index]) + dqBound[index]) }
        for index in dk.indices { dkBound[index] += stored(abs(dk[index]) + dkBound[index]) }
        for index in dv.indices { dvBound[index] += stored(abs(dv[index]) + dvBound[index]) }
    }
}

@Suite struct AttentionTests {
    private func check(_ type: csimd_type, _ shape: AttentionShape, seed: UInt64) {
        var random = TestRandom(seed)
        let arena = BufferArena()
        defer { arena.release() }
        func make(_ count: Int) -> TypedBuffer { arena.make(type, (0..<count).map { _ in random.normal() }) }
        let q = make(shape.queryCount), k = make(shape.keyCount), v = make(shape.keyCount), dy = make(shape.queryCount)
        let u = arithmeticRoundoff(type)
        for weight in type == CSIMD_BF16 ? [u, 0x1p-8] : [u] {
            let expected = AttentionReference(
                shape, q: q.values, k: k.values, v: v.values, dy: dy.values, u: u, weight: weight
            ) { storageRounding(type, $0) + $0 * u }
            forEachGemm { row in
                guard row.contains("native") == (weight == 0x1p-8) else { return }
                var bits: [[[Double]]] = []
                for threads: Int32 in [1, 3] {
                    withThreads(threads) {
                        bits.append(shape.run(arena, q: q, k: k, v: v, dy: dy).all.map(\.buffer.values))
                    }
                }
                #expect(bits[0] == bits[1], "\(row): other bits with 3 threads")
                let all = [
                    ("o", expected.o, expected.oBound), ("dq", expected.dq, expected.dqBound),
                    ("dk", expected.dk, expected.dkBound), ("dv", expected.dv, expected.dvBound),
                ]
                for ((name, exact, bound), got) in zip(all, bits[0]) {
                    let wrong = got.indices.first { !(abs(got[$0] - exact[$0]) <= bound[$0]) }
                    if let wrong {
                        Issue.record(
                            """
                            \(row) type \(type.rawValue) \(shape) \(name)[\(wrong)]: \(got[wrong]), expected \(exact[wrong]) \
                            within \(bound[wrong])
                            """)
                    }
                }
            }
        }
    }

    /// Sizes around tiles, panels and blocks of keys (256); few queries, which take another way; shared key heads.
    static let shapes: [(Int, Int, Int, Int, Int, Int)] = [
        (1, 1, 1, 1, 1, 1), (1, 1, 1, 5, 5, 8), (2, 3, 3, 17, 17, 64), (2, 4, 2, 30, 70, 33), (1, 1, 1, 130, 130, 16),
        (1, 2, 1, 3, 300, 24), (1, 2, 2, 4, 4, 20), (1, 1, 1, 29, 31, 5), (1, 3, 1, 6, 2, 7), (1, 1, 1, 40, 290, 48),
        (1, 1, 1, 113, 257, 8),
    ]

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func resultsAndGradientsAreWithinTheBound(_ rawType: UInt32) {
        for (index, sizes) in Self.shapes.enumerated() {
            for option in 0..<4 {
                var shape = AttentionShape(
                    batch: sizes.0, heads: sizes.1, keyHeads: sizes.2, queries: sizes.3, keys: sizes.4, size: sizes.5)
                shape.causal = option & 1 != 0
                if option & 2 != 0 {
                    shape.mask = (0..<shape.batch * shape.keys).map { $0 % 3 == 1 || $0 % 7 == 2 ? 0 : 1 }
                }
                check(csimd_type(rawType), shape, seed: UInt64(index))
            }
        }
    }

    /// Zeros, and a gradient of zeros, where every key is hidden; nothing where there are no queries.
    @Test func nothingIsSeen() {
        check(
            CSIMD_F32,
            AttentionShape(
                heads: 2, keyHeads: 2, queries: 20, keys: 20, size: 16, mask: Array(repeating: 0, count: 20)), seed: 1)
        check(CSIMD_BF16, AttentionShape(queries: 2, keys: 9, size: 16, mask: Array(repeating: 0, count: 9)), seed: 2)
        check(CSIMD_F32, AttentionShape(queries: 0, keys: 9, size: 16), seed: 3)
    }

    @Test func badArgumentsAreRefused() {
        let value = UnsafeMutablePointer<Float>.allocate(capacity: 64)
        defer { value.deallocate() }
        let heads = csimd_heads(base: value, batch_stride: 16, head_stride: 4, row_stride: 4)
        var good = csimd_attention_args()
        good.type = CSIMD_F32
        (good.batch, good.heads, good.key_heads, good.queries, good.keys, good.head_size) = (1, 2, 1, 2, 2, 4)
        good.scale = 0.5
        (good.q, good.k, good.v) = (heads, heads, heads)
        let changes: [(inout csimd_attention_args) -> Void] = [
            { $0.type = csimd_type(9) }, { $0.head_size = 0 }, { $0.head_size = 513 }, { $0.key_heads = 0 },
            {
                $0.heads = 3; $0.key_heads = 2
            }, { $0.scale = 0 }, { $0.scale = .nan }, { $0.scale = .infinity },
            { $0.q.base = nil }, { $0.k.row_stride = 3 },
            {
                $0.v.batch_stride = Int.max / 2; $0.batch = 9
            },
        ]
        for change in changes {
            var bad = good
            change(&bad)
            #expect(csimd_attention(&bad, heads, value + 32) == CSIMD_INVALID_ARGUMENT)
            #expect(
                csimd_attention_gradient(&bad, heads, value, heads, heads, heads, heads) == CSIMD_INVALID_ARGUMENT)
        }
    }
}

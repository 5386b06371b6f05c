import CSIMD
import Foundation
import Testing

/// What a query does not see takes no part in attention: whatever hidden elements hold, results and gradients have the bits of
/// zeros there. What it does see shows, NaN too, and reaches nothing else.
@Suite struct AttentionMaskTests {
    /// Sizes around tiles, panels, pairs and blocks of keys (256); few queries, which take another way; queries that see nothing.
    static let shapes: [AttentionShape] = [
        AttentionShape(queries: 1, keys: 1, size: 1),
        AttentionShape(heads: 2, keyHeads: 1, queries: 1, keys: 70, size: 9),
        AttentionShape(batch: 2, heads: 2, keyHeads: 2, queries: 3, keys: 130, size: 24),
        AttentionShape(queries: 4, keys: 2, size: 8), AttentionShape(queries: 5, keys: 5, size: 8),
        AttentionShape(batch: 3, heads: 4, keyHeads: 2, queries: 19, keys: 33, size: 40),
        AttentionShape(batch: 2, queries: 33, keys: 33, size: 33), AttentionShape(queries: 17, keys: 290, size: 12),
        AttentionShape(heads: 2, keyHeads: 2, queries: 45, keys: 18, size: 24),
        AttentionShape(queries: 36, keys: 259, size: 7),
    ]

    /// No mask, padding after and before a sequence, keys here and there, all of them.
    static func masks(_ shape: AttentionShape) -> [[UInt8]?] {
        func mask(_ isSeen: (_ element: Int, _ key: Int) -> Bool) -> [UInt8] {
            (0..<shape.batch * shape.keys).map { isSeen($0 / shape.keys, $0 % shape.keys) ? 1 : 0 }
        }
        let third = shape.keys / 3
        return [
            nil, mask { $1 < shape.keys - third - $0 }, mask { $1 >= third + $0 },
            mask { ($1 + $0) % 3 != 1 && $1 % 7 != 2 },
            mask { element, _ in element != 0 }, mask { _, key in key % 2 == 0 },
        ]
    }

    /// Each shape with and without a causal mask and with each mask; its operands from a seed, and a run with them.
    private func forEachCase(_ type: csimd_type, _ body: (Case, _ row: String) -> Void) {
        for (seed, shape) in Self.shapes.enumerated() {
            for causal in [false, true] {
                for mask in Self.masks(shape) {
                    var shape = shape
                    (shape.causal, shape.mask) = (causal, mask)
                    forEachGemm { row in
                        // Float64 is computed by the formula on every row, as other types are on the reference row.
                        if row.contains("native") && type != CSIMD_BF16 || (row == "ref") != (type == CSIMD_F64) {
                            return
                        }
                        let arena = BufferArena()
                        defer { arena.release() }
                        body(Case(type, shape, seed: UInt64(seed), arena), "\(row), type \(type.rawValue), \(shape)")
                    }
                }
            }
        }
    }

    struct Case {
        let shape: AttentionShape
        let arena: BufferArena
        var q: TypedBuffer, k: TypedBuffer, v: TypedBuffer, dy: TypedBuffer

        init(_ type: csimd_type, _ shape: AttentionShape, seed: UInt64, _ arena: BufferArena) {
            var random = TestRandom(seed)
            func make(_ count: Int) -> TypedBuffer { arena.make(type, (0..<count).map { _ in random.normal() }) }
            (self.shape, self.arena) = (shape, arena)
            (q, k) = (make(shape.queryCount), make(shape.keyCount))
            (v, dy) = (make(shape.keyCount), make(shape.queryCount))
        }

        func run() -> AttentionRun { shape.run(arena, q: q, k: k, v: v, dy: dy) }

        /// The same with every element of the operands that `isChosen` names set to `value`.
        func setting(_ value: Double, where isChosen: (_ operand: String, _ index: Int) -> Bool) -> Case {
            var result = self
            func set(_ name: String, _ buffer: TypedBuffer) -> TypedBuffer {
                let copy = arena.copy(of: buffer)
                for index in 0..<copy.count where isChosen(name, index) { copy[index] = value }
                return copy
            }
            (result.q, result.k) = (set("q", q), set("k", k))
            (result.v, result.dy) = (set("v", v), set("dy", dy))
            return result
        }

        func key(of index: Int) -> (element: Int, key: Int) {
            let row = index / (shape.keyHeads * shape.size)
            return (row / shape.keys, row % shape.keys)
        }

        func query(of index: Int) -> (element: Int, query: Int) {
            let row = index / (shape.heads * shape.size)
            return (row / shape.queries, row % shape.queries)
        }

        func isKey(_ name: String) -> Bool { ["k", "v", "dk", "dv"].contains(name) }
    }

    static func poisons(_ type: csimd_type) -> [Double] {
        let largest: Double =
            switch type {
            case CSIMD_F16: 65504
            case CSIMD_BF16: 0x1.FEp127
            case CSIMD_F32: 0x1.FFFFFEp127
            default: .greatestFiniteMagnitude
            }
        return [.nan, .infinity, -.infinity, largest]
    }

    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func elementsThatTheMaskHidesTakeNoPart(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        forEachCase(type) { test, label in
            guard test.shape.mask != nil else { return }
            func isHidden(_ name: String, _ index: Int) -> Bool {
                guard test.isKey(name) else { return false }
                let (element, key) = test.key(of: index)
                return test.shape.mask![element * test.shape.keys + key] == 0
            }
            let expected = test.setting(0, where: isHidden).run()
            #expect(expected.isFinite, "\(label)")
            for (name, buffer) in expected.all {
                #expect((0..<buffer.count).allSatisfy { !isHidden(name, $0) || buffer[$0] == 0 }, "\(label): \(name)")
            }
            for poison in Self.poisons(type) {
                let difference = test.setting(poison, where: isHidden).run().difference(from: expected)
                #expect(difference == nil, "\(label), \(poison) hidden: \(difference ?? "")")
            }
        }
    }

    /// A key and its value under a causal mask, beside others: the queries that do not see it have the bits of zeros there, those
    /// that do are NaN.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func aKeyReachesOnlyTheQueriesThatSeeIt(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        forEachCase(type) { test, label in
            let shape = test.shape
            for chosen in Set([0, shape.keys / 2, shape.keys - 1]) {
                func isChosen(_ name: String, _ index: Int) -> Bool {
                    test.isKey(name) && test.key(of: index).key == chosen
                }
                func sees(_ index: Int) -> Bool {
                    let (element, query) = test.query(of: index)
                    return shape.sees(element, query, chosen)
                }
                let expected = test.setting(0, where: isChosen).run()
                for poison in Self.poisons(type) {
                    let got = test.setting(poison, where: isChosen).run()
                    let difference = got.difference(from: expected) { !test.isKey($0) && !sees($1) }
                    #expect(difference == nil, "\(label), key \(chosen) of \(poison): \(difference ?? "")")
                    guard poison.isNaN else { continue }
                    let lost = (0..<got.o.count).first { sees($0) && !(got.o[$0].isNaN && got.dq[$0].isNaN) }
                    #expect(lost == nil, "\(label): the NaN of key \(chosen) does not show at \(lost ?? 0)")
                }
            }
        }
    }

    /// One element of a value: only that element of the results of the queries that see it.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func anElementOfAValueReachesOnlyItsColumn(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        forEachCase(type) { test, label in
            let shape = test.shape, chosen = shape.keys / 2, column = shape.size / 2
            func isChosen(_ name: String, _ index: Int) -> Bool {
                name == "v" && test.key(of: index).key == chosen && index % shape.size == column
            }
            func isReached(_ index: Int) -> Bool {
                let (element, query) = test.query(of: index)
                return index % shape.size == column && shape.sees(element, query, chosen)
            }
            let expected = test.setting(0, where: isChosen).run()
            for poison in [Double.nan, .infinity] {
                let got = test.setting(poison, where: isChosen).run()
                let difference = got.difference(from: expected) { $0 == "o" && !isReached($1) }
                #expect(difference == nil, "\(label), \(poison): \(difference ?? "")")
                let lost = (0..<got.o.count).first { isReached($0) && got.o[$0].isFinite }
                #expect(lost == nil, "\(label): \(poison) does not show at \(lost ?? 0)")
            }
        }
    }

    /// A query, or the gradient of its result: only its own result and gradient, and the gradients of the keys that it sees.
    @Test(arguments: TypedBuffer.allTypes.map(\.rawValue))
    func aQueryReachesOnlyTheKeysThatItSees(_ rawType: UInt32) {
        let type = csimd_type(rawType)
        forEachCase(type) { test, label in
            let shape = test.shape
            for operand in ["q", "dy"] {
                for chosen in Set([0, shape.queries / 2, shape.queries - 1]) {
                    func isChosen(_ name: String, _ index: Int) -> Bool {
                        name == operand && test.query(of: index).query == chosen
                    }
                    func isReached(_ name: String, _ index: Int) -> Bool {
                        if !test.isKey(name) { return test.query(of: index).query == chosen }
                        let (element, key) = test.key(of: index)
                        return shape.sees(element, chosen, key)
                    }
                    let expected = test.setting(0, where: isChosen).run()
                    for poison in Self.poisons(type) {
                        let got = test.setting(poison, where: isChosen).run()
                        let difference = got.difference(from: expected) { !isReached($0, $1) }
                        #expect(difference == nil, "\(label), \(operand) \(chosen) of \(poison): \(difference ?? "")")
                        guard poison.isNaN else { continue }
                        for (name, buffer) in got.all where name != "o" {
                            let lost = (0..<buffer.count).first { index in
                                guard isReached(name, index), !buffer[index].isNaN else { return false }
                                if test.isKey(name) { return true }
                                let (element, query) = test.query(of: index)
                                return (0..<shape.keys).contains { shape.sees(element, query, $0) }
                            }
                            #expect(lost == nil, "\(label): the NaN of \(operand) \(chosen) does not show in \(name)")
                        }
                    }
                }
            }
        }
    }
}

// What a parameter hands out stays as it is; and nothing is copied where nothing was handed out.
import NeedletailTensor
import Testing

@Suite struct CopyOnWriteTests {
    private static let types: [(storage: DType, compute: DType)] = [
        (.float64, .float64), (.float32, .float32), (.float32, .float16), (.float32, .bfloat16), (.float16, .float16),
        (.bfloat16, .bfloat16),
    ]

    private func parameter(_ storage: DType, _ compute: DType) -> Parameter {
        let parameter = Parameter(exactValues([4, 6], seed: 3))
        parameter.setTypes(storage: storage, compute: compute)
        return parameter
    }

    /// A step of SGD whose gradient is one everywhere.
    private func step(_ w: Parameter, releasingGraph: Bool = true) -> Tensor? {
        let loss = w.value.sum()
        loss.backward()
        _ = sgdUpdate(
            w, momentumBuffer: nil, learningRate: 0.5, momentum: 0, dampening: 0, nesterov: false, weightDecay: 0,
            maximize: false, firstStep: false, pass: UpdatePass())
        return releasingGraph ? nil : loss
    }

    @Test func whatIsReadStaysAsItIs() throws {
        for (storage, compute) in Self.types {
            let changes: [(String, (Parameter) throws -> Void)] = [
                ("assign", { try $0.assign(.zeros([4, 6])) }),
                ("update", { _ = step($0) }),
                ("setTypes", { $0.setTypes(storage: .float32, compute: .bfloat16) }),
            ]
            for (name, change) in changes {
                let w = parameter(storage, compute)
                w.value.sum().backward()
                let read = [
                    w.value, w.value.detached(), withoutGradients { w.value }, w.value.transposed(), w.master,
                    w.master.slice(axis: 0, 1..<3), w.value[2], try #require(w.gradient),
                ]
                let before = read.map(\.bytes)
                try change(w)
                _ = step(w)
                w.zeroGradient()
                (w.value * 3.0).sum().backward()
                for (index, tensor) in read.enumerated() {
                    #expect(tensor.bytes == before[index], "\(storage) \(compute) \(name): \(index)")
                }
                #expect(w.value.bytes != before[0], "\(storage) \(compute) \(name) changed nothing")
            }
        }
    }

    @Test func aKeptGradientIsNotAddedTo() throws {
        let w = parameter(.float32, .float32)
        w.value.sum().backward()
        let first = try #require(w.gradient)
        w.value.sum().backward()
        #expect(first.scalars(as: Float.self) == [Float](repeating: 1, count: 24))
        #expect(w.gradient?.scalars(as: Float.self) == [Float](repeating: 2, count: 24))
    }

    @Test func nothingIsCopiedWhereNothingIsKept() throws {
        for (storage, compute) in Self.types {
            let w = parameter(storage, compute)
            let place = { (w.master.storageIdentity, w.value.storageIdentity) }
            let before = place()
            for _ in 0..<3 { _ = step(w) }
            try w.assign(.zeros([4, 6]))
            #expect(place() == before, "\(storage) \(compute)")
            let kept = w.master
            _ = step(w)
            #expect(place().0 != before.0)
            _ = kept
        }
    }

    @Test func aCopyIsItsOwn() {
        let x = exactValues([3, 4]).trackingGradient()
        let y = x.copy()
        #expect(y.bytes == x.bytes && y.storageIdentity != x.storageIdentity)
        #expect(gradients(of: (y * y).sum(), withRespectTo: [x])[0].bytes == (x.detached() * 2.0).bytes)
        let column = x.transposed().copy()
        #expect(column.isContiguous && column.bytes == x.transposed().bytes)
    }

    @Test func viewsOfACacheStayAsTheyAre() {
        let cache = KeyValueCache(capacity: 8)
        let rows = exactValues([1, 3, 2], seed: 5, dtype: .float32)
        let kept = cache.append(keys: rows, values: rows * 2.0)
        let before = (kept.keys.bytes, kept.values.bytes)
        _ = cache.append(keys: rows * 3.0, values: rows)
        cache.removeAll()
        _ = cache.append(keys: rows * 4.0, values: rows * 5.0)
        #expect(kept.keys.bytes == before.0 && kept.values.bytes == before.1)
    }

    /// Readers in other tasks hold what they have read while the parameter is updated.
    @Test func readersInOtherTasksSeeOneState() async {
        let w = Parameter(.zeros([1000]))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 {
                let read = w.value.detached()
                let first = read.scalars(as: Float.self)[0]
                group.addTask { read.scalars(as: Float.self).allSatisfy { $0 == first } }
                _ = step(w)
                w.zeroGradient()
            }
            for await isOneState in group { #expect(isOneState) }
        }
    }
}

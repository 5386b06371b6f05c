// Batches in order, from any position, with and without a thread that prepares them; nothing left running.
import Foundation
import NeedletailData
import NeedletailTensor
import Synchronization
import Testing

/// Sample i is the number i; it counts its calls, fails at one index, and says when it is let go.
private final class Numbers: Dataset {
    struct Failure: Error, Equatable { let index: Int }

    let count: Int
    private let failAt: Int?
    private let requested = Mutex<[[Int]]>([])
    private let released: @Sendable () -> Void

    init(_ count: Int, failAt: Int? = nil, released: @escaping @Sendable () -> Void = {}) {
        self.count = count
        self.failAt = failAt
        self.released = released
    }

    deinit { released() }

    var calls: Int { requested.withLock { $0.count } }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        requested.withLock { $0.append(indices) }
        if let failAt, indices.contains(failAt) { throw Failure(index: failAt) }
        return Batch(
            inputs: Tensor(indices.map { Float($0) }).cast(to: dtype), targets: Tensor(indices.map { Int64($0) }))
    }
}

private func rest(_ batches: BatchIterator) throws -> [[Int64]] {
    var all: [[Int64]] = []
    while let batch = try batches.next() {
        #expect(batch.count == batch.targets.count && batch.inputs.shape == [batch.count])
        all.append(batch.targets.scalars(as: Int64.self))
    }
    #expect(try batches.next() == nil)
    return all
}

/// Polls until the condition holds, for at most half a minute.
private func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<3000 {
        if condition() { return true }
        Thread.sleep(forTimeInterval: 0.01)
    }
    return condition()
}

@Suite struct DataLoaderTests {
    @Test(arguments: [0, 1, 2, 7])
    func everySampleOnce(prefetch: Int) throws {
        let loader = DataLoader(Numbers(23), batchSize: 5, shuffle: true, seed: 8, prefetch: prefetch)
        #expect(loader.batchCount == 5)
        let batches = try rest(loader.batches(epoch: 2))
        #expect(batches.map(\.count) == [5, 5, 5, 5, 3])
        #expect(batches.flatMap { $0 } == Sampler(count: 23, seed: 8).order(epoch: 2).map { Int64($0) })
        #expect(try rest(loader.batches(epoch: 3)) != batches && rest(loader.batches(epoch: 2)) == batches)
    }

    @Test func unshuffledAndRagged() throws {
        let loader = DataLoader(Numbers(7), batchSize: 3)
        #expect(try rest(loader.batches(epoch: 0)) == [[0, 1, 2], [3, 4, 5], [6]])
        let dropping = DataLoader(Numbers(7), batchSize: 3, dropLast: true)
        #expect(dropping.batchCount == 2)
        #expect(try rest(dropping.batches(epoch: 0)) == [[0, 1, 2], [3, 4, 5]])
        let even = DataLoader(Numbers(6), batchSize: 3, dropLast: true)
        #expect(try even.batchCount == 2 && rest(even.batches(epoch: 0)).count == 2)
        let tooFew = DataLoader(Numbers(2), batchSize: 3, dropLast: true)
        #expect(try tooFew.batchCount == 0 && rest(tooFew.batches(epoch: 0)).isEmpty)
        let none = DataLoader(Numbers(0), batchSize: 3, shuffle: true)
        #expect(try none.batchCount == 0 && rest(none.batches(epoch: 0)).isEmpty)
        let one = DataLoader(Numbers(2), batchSize: 9)
        #expect(try rest(one.batches(epoch: 0)) == [[0, 1]])
    }

    @Test(arguments: [0, 2])
    func resumesAnywhere(prefetch: Int) throws {
        let loader = DataLoader(Numbers(20), batchSize: 3, shuffle: true, seed: 1, prefetch: prefetch)
        let whole = try rest(loader.batches(epoch: 4))
        for position in 0...loader.batchCount {
            let batches = loader.batches(epoch: 4, from: position)
            #expect(batches.position == position)
            #expect(try rest(batches) == Array(whole[position...]))
            #expect(batches.position == loader.batchCount)
        }
    }

    @Test func inputsHaveTheLoadersType() throws {
        let loader = DataLoader(Numbers(4), batchSize: 2)
        #expect(try loader.batches(epoch: 0).next()?.inputs.dtype == .float32)
        loader.dtype = .bfloat16
        #expect(try loader.batches(epoch: 0).next()?.inputs.dtype == .bfloat16)
    }

    @Test(arguments: [0, 1, 3])
    func errorsComeInTheirPlace(prefetch: Int) throws {
        let numbers = Numbers(20, failAt: 9)
        let batches = DataLoader(numbers, batchSize: 2, prefetch: prefetch).batches(epoch: 0)
        for index in 0..<4 { #expect(try batches.next()?.targets.scalars(as: Int64.self).first == Int64(2 * index)) }
        for _ in 0..<3 {
            #expect(throws: Numbers.Failure(index: 9)) { try batches.next() }
        }
        #expect(batches.position == 4 && numbers.calls == 5)
    }

    /// The queue is bounded: no more than the prefetched batches are made before they are taken.
    @Test func preparesNoMoreThanAsked() throws {
        let numbers = Numbers(1000)
        let batches = DataLoader(numbers, batchSize: 1, prefetch: 3).batches(epoch: 0)
        #expect(eventually { numbers.calls == 3 })
        _ = try batches.next()
        _ = try batches.next()
        #expect(eventually { numbers.calls == 5 })
        Thread.sleep(forTimeInterval: 0.05)
        #expect(numbers.calls == 5)
    }

    /// An iterator that is let go, at any point, ends its thread: the dataset, which the thread holds, is let go too.
    @Test(arguments: [0, 1, 5, 50])
    func abandonedIteratorsEndTheirThread(taken: Int) throws {
        let released = Atomic(0)
        for _ in 0..<20 {
            let loader = DataLoader(Numbers(50) { released.add(1, ordering: .relaxed) }, batchSize: 1, shuffle: true)
            let batches = loader.batches(epoch: 0)
            for _ in 0..<taken { _ = try batches.next() }
        }
        #expect(eventually { released.load(ordering: .relaxed) == 20 })
    }

    /// The real thing: bytes gathered and normalised on the loader's thread equal those made directly.
    @Test func digitsThroughTheLoader() throws {
        let train = Digits.load().train
        let loader = DataLoader(train, batchSize: 64, shuffle: true, seed: 3)
        loader.dtype = .bfloat16
        let order = loader.sampler.order(epoch: 0)
        let batches = loader.batches(epoch: 0)
        var count = 0
        while let batch = try batches.next() {
            let expected = try train.batch(Array(order[count..<(count + batch.count)]), dtype: .bfloat16)
            #expect(batch.inputs.bytes == expected.inputs.bytes && batch.targets.bytes == expected.targets.bytes)
            count += batch.count
        }
        #expect(count == 1437)
    }
}

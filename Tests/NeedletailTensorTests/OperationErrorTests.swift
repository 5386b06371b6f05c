// Errors of the program as errors that are thrown: the same message, the same bits, nothing left running.
import Foundation
import NeedletailTensor
import Synchronization
import Testing

private struct Own: Error {}

@Suite struct OperationErrorTests {
    /// Wrong calls of operations of each kind, and what their messages name.
    private static let wrong: [(call: @Sendable () -> Void, names: String)] = [
        ({ _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5])) }, "matmul"),
        ({ _ = Tensor.zeros([2, 2, 3]).matmul(Tensor.zeros([3, 3, 4])) }, "matmul"),
        ({ _ = Tensor.zeros([2, 3]) + Tensor.zeros([2, 4]) }, "add"),
        ({ _ = Tensor.zeros([2, 3]).reshape([4, 2]) }, "reshape"),
        ({ _ = Tensor.zeros([2, 3]).sum(axes: [2]) }, "axis"),
        ({ _ = Tensor.zeros([2, 3], dtype: .int64).exp() }, "floating-point"),
        ({ Tensor.zeros([2, 3]).backward() }, "backward"),
        ({ Tensor.zeros([]).backward() }, "backward"),
        ({ _ = Tensor.zeros([2, 3]).item() }, "item"),
        ({ _ = embedding(Tensor.zeros([4, 2]), Tensor([Int64(9)], shape: [1])) }, "9"),
        ({ Parameter(Tensor.zeros([2])).setTypes(storage: .int64, compute: .int64) }, "setTypes"),
        ({ _ = Tensor.zeros([1 << 40, 1 << 18]) }, "out of memory"),
        ({ _ = Tensor.zeros([1 << 40, 1 << 40]) }, "more elements"),
    ]

    /// What ends the program is thrown with the message that the program would have ended with.
    @Test(arguments: 0..<Self.wrong.count) func wrongCallsAreThrown(_ index: Int) throws {
        let (call, names) = Self.wrong[index]
        let error = #expect(throws: OperationError.self) { try throwingOperationErrors { call() } }
        #expect(error?.message.contains(names) == true, "\(String(describing: error))")
        #expect(error.map { "\($0)" } == error?.message)
    }

    /// Outside of the closure they still end the program, and say the same.
    @Test func elsewhereTheyStillEndTheProgram() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = try throwingOperationErrors { 1 }
            _ = Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5]))
        }
        let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        let error = #expect(throws: OperationError.self) {
            try throwingOperationErrors { Tensor.zeros([2, 3]).matmul(Tensor.zeros([4, 5])) }
        }
        #expect(text.contains(try #require(error).message))
    }

    @Test func otherErrorsAndResultsPassThrough() throws {
        #expect(throws: Own.self) { try throwingOperationErrors { throw Own() } }
        #expect(throws: ShapeError.self) {
            try throwingOperationErrors { try Parameter(Tensor.zeros([2])).assign(Tensor.zeros([3])) }
        }
        #expect(try throwingOperationErrors { [1, 2] } == [1, 2])
        // One within another: the inner one's error is the inner one's.
        let inner = try throwingOperationErrors { () -> String in
            do { try throwingOperationErrors { require(false, "inner") } } catch { return "\(error)" }
            return "none"
        }
        #expect(inner == "inner")
    }

    /// Values and gradients have the bits that they have without it, in every instruction set; what the calling thread has chosen,
    /// and whether gradients are recorded, holds within.
    @Test func bitsAndModesAreTheCallers() throws {
        var generator = SeededGenerator(seed: 3)
        let weight = Parameter(Tensor.normal([70, 130], using: &generator))
        let x = Tensor.normal([90, 130], using: &generator)
        for row in KernelInfo.rows where row.supported {
            try VerificationKernels.onRow(row.name) {
                func pass() -> Tensor { linear(x, weight: weight.value, bias: nil).logSoftmax(axis: 1).sum() }
                let plain = pass()
                weight.zeroGradient()
                plain.backward()
                let gradient = try #require(weight.gradient).copied()
                let (guarded, active) = try throwingOperationErrors { (pass(), KernelInfo.activeRow) }
                #expect(active == row.name && KernelInfo.activeRow == row.name)
                weight.zeroGradient()
                guarded.backward()
                #expect(guarded.bytes == plain.bytes && weight.gradient?.bytes == gradient.bytes, "\(row.name)")
                #expect(try withoutGradients { try throwingOperationErrors { pass().requiresGradient } } == false)
            }
        }
    }

    /// A thousand errors in a row, within operations that use all threads before and after, leave no thread behind, and two
    /// callers at a time do not disturb each other.
    @Test func nothingIsLeftRunning() throws {
        func threads() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count }
        let a = Tensor.ones([64, 512]), b = Tensor.ones([512, 512])
        @Sendable func fail() -> Bool {
            do {
                try throwingOperationErrors {
                    let product = a.matmul(b)
                    _ = product.matmul(a)
                }
                return false
            } catch { return error is OperationError }
        }
        #expect(fail())
        let before = try threads()
        for _ in 0..<1000 where !fail() { Issue.record("no error") }
        // Threads end a little after they are waited for; others of this process come and go.
        var after = try threads()
        for _ in 0..<100 where after > before {
            usleep(10_000)
            after = try threads()
        }
        #expect(after <= before)
        let failures = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 200) { _ in if fail() { failures.withLock { $0 += 1 } } }
        #expect(failures.withLock { $0 } == 200)
        #expect(a.matmul(b).scalars(as: Float.self).allSatisfy { $0 == 512 })
    }

    /// What a backward that an error ended has left in the graph's leaves is no part of the next one.
    @Test func theNextBackwardBeginsAfresh() throws {
        let (p, q) = (Parameter(Tensor([1, 2, 3])), Parameter(Tensor([1, 2, 3])))
        let changed = (q.value * q.value).sum()
        try q.assign(.ones([3]))
        let loss = changed + (p.value * 2.0).sum()
        #expect(throws: OperationError.self) { try throwingOperationErrors { loss.backward() } }
        p.zeroGradient()
        p.value.sum().backward()
        #expect(p.gradient?.scalars(as: Float.self) == [1, 1, 1])
        #expect(throws: OperationError.self) { try throwingOperationErrors { loss.backward() } }
        p.value.sum().backward()
        #expect(p.gradient?.scalars(as: Float.self) == [2, 2, 2])
    }
}

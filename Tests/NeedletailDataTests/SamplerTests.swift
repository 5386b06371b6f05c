// The order of an epoch.
import NeedletailData
import Testing

@Suite struct SamplerTests {
    @Test func orderIsAFunctionOfSeedAndEpoch() {
        let sampler = Sampler(count: 100, seed: 3)
        let first = sampler.order(epoch: 0)
        #expect(first.sorted() == Array(0..<100) && first != Array(0..<100))
        #expect(sampler.order(epoch: 1) != first && sampler.order(epoch: 0) == first)
        #expect(Sampler(count: 100, seed: 4).order(epoch: 0) != first)
        #expect(Sampler(count: 5).order(epoch: 9) == [0, 1, 2, 3, 4])
        #expect(Sampler(count: 0, seed: 1).order(epoch: 0) == [] && Sampler(count: 1, seed: 1).order(epoch: 5) == [0])
    }

    /// The order that this version draws: a saved position means the same batches in every later version. By Philox,
    /// Lemire's bounded integers and Fisher-Yates written again in Python.
    @Test func orderStaysWhatItIs() {
        #expect(Sampler(count: 10, seed: 1).order(epoch: 0) == [4, 2, 0, 5, 1, 8, 9, 7, 6, 3])
    }
}

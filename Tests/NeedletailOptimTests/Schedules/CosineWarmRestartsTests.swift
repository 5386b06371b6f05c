import NeedletailOptim
import Testing

@Suite struct CosineWarmRestartsTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch("restarts", CosineWarmRestarts(firstPeriod: 35, minimum: 1e-4))
        try expectPyTorch("restarts_growing", CosineWarmRestarts(firstPeriod: 11, growth: 2))
    }

    @Test func hugePeriodsDoNotOverflow() {
        #expect(CosineWarmRestarts(firstPeriod: 2, growth: .max).learningRate(base: 1, after: 2) == 1)
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            CosineWarmRestarts(firstPeriod: 1),
            [
                ("firstPeriod", { $0.firstPeriod = 0 }), ("growth", { $0.growth = 0 }),
                ("minimum", { $0.minimum = .infinity }),
            ])
    }
}

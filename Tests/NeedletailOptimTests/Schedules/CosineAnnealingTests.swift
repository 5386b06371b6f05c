import NeedletailOptim
import Testing

@Suite struct CosineAnnealingTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch("cosine", CosineAnnealing(steps: 300))
        // Ten times down and up.
        try expectPyTorch("cosine_minimum", CosineAnnealing(steps: 40, minimum: 1e-3))
    }

    @Test func itEndsAtTheMinimum() {
        #expect(CosineAnnealing(steps: 1000).learningRate(base: 0.1, after: 1000) == 0)
        #expect(CosineAnnealing(steps: 7, minimum: 0.01).learningRate(base: 0.1, after: 7) == 0.01)
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            CosineAnnealing(steps: 1),
            [("steps", { $0.steps = 0 }), ("minimum", { $0.minimum = -1 }), ("minimum", { $0.minimum = .nan })])
    }
}

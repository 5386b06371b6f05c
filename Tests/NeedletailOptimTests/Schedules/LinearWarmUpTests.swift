import NeedletailOptim
import Testing

@Suite struct LinearWarmUpTests {
    @Test func followsPyTorch() throws {
        try expectPyTorch("warm_up", LinearWarmUp(steps: 250, start: 1e-3))
        try expectPyTorch("warm_up_falling", LinearWarmUp(steps: 60, start: 0.9, end: 0.2))
    }

    @Test func invalidOptionsAreRefused() throws {
        try expectRefused(
            LinearWarmUp(steps: 1),
            [
                ("steps", { $0.steps = 0 }), ("start", { $0.start = 0 }), ("start", { $0.start = 1.5 }),
                ("start", { $0.start = .nan }), ("end", { $0.end = -0.1 }), ("end", { $0.end = 1.1 }),
            ])
    }
}

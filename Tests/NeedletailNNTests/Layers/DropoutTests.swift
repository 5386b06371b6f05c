// Dropout: modes, share, scale, gradient, saved state.
import NeedletailNN
import NeedletailTensor
import Testing

@Suite struct DropoutTests {
    @Test func dropsTheShareAndScalesTheRest() {
        let layer = Dropout(0.25, seed: 1)
        let values = layer(.ones([40_000])).scalars(as: Float.self)
        #expect(values.allSatisfy { $0 == 0 || $0 == Float(1) * Float(1 / 0.75) })
        // Binomial with n = 40,000, p = 1/4: deviation sqrt(n p (1 - p)) = 87; six deviations.
        #expect(abs(values.count { $0 == 0 } - 10_000) <= 6 * 87)
    }

    @Test func isTheIdentityInEvaluationAndAtZero() {
        let layer = Dropout(0.5, seed: 1)
        layer.evaluate()
        #expect(layer(.ones([100])).scalars(as: Float.self).allSatisfy { $0 == 1 })
        #expect(layer.generator == SeededGenerator(seed: 1))
        #expect(Dropout(0, seed: 1)(.ones([100])).scalars(as: Float.self).allSatisfy { $0 == 1 })
        #expect(Dropout(1, seed: 1)(.ones([100])).scalars(as: Float.self).allSatisfy { $0 == 0 })
    }

    @Test func masksDifferFromCallToCallAndRepeatFromASavedState() {
        let layer = Dropout(0.5, seed: 1)
        let first = layer(.ones([256])).bytes
        let saved = layer.generator
        let second = layer(.ones([256])).bytes
        #expect(first != second)
        layer.generator = saved
        #expect(layer(.ones([256])).bytes == second)
        var g = SeededGenerator(seed: 9)
        #expect(Dropout(using: &g)(.ones([256])).bytes != Dropout(using: &g)(.ones([256])).bytes)
    }

    @Test func theGradientHasTheSameMask() {
        let parameter = Parameter(.ones([256]))
        let y = Dropout(0.5, seed: 2)(parameter.value)
        y.sum().backward()
        #expect(parameter.gradient?.bytes == y.bytes)
    }
}

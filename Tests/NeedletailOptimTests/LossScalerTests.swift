// Loss scaling: the golden trace, PyTorch's sequences, the floor, growth at its limits, saving and restoring.
import Foundation
import NeedletailOptim
import NeedletailTensor
import Testing

@Suite struct LossScalerTests {
    @Test func goldenTrace() throws {
        var scaler = try LossScaler(.dynamic(interval: 3))
        let expected: [(Float, Int)] = [
            (65536, 1), (65536, 2), (131072, 0), (131072, 1), (65536, 0), (65536, 1), (65536, 2), (131072, 0),
            (131072, 1), (131072, 2),
        ]
        for (step, (scale, tracker)) in expected.enumerated() {
            try scaler.update(overflowed: step == 4)
            #expect(scaler.scale == scale && scaler.growthTracker == tracker, "step \(step)")
        }
    }

    @Test(arguments: 0..<5)
    func sequencesAreThoseOfPyTorch(_ index: Int) throws {
        // torch.amp.GradScaler over 2,000 random overflow flags: scale and tracker agree in every bit.
        let data = try fixture("scaler")
        let rule = try #require(data["\(index).rule"]).scalars(as: Double.self)
        let flags = try #require(data["\(index).overflowed"]).scalars(as: Bool.self)
        let scales = try #require(data["\(index).scale"]).scalars(as: Float.self)
        let trackers = try #require(data["\(index).tracker"]).scalars(as: Int32.self)
        // PyTorch has no minimum: the fixture stays above this one.
        var scaler = try LossScaler(
            .dynamic(
                initial: Float(rule[0]), growth: rule[1], backoff: rule[2], interval: Int(rule[3]), minimum: 0x1p-126))
        for step in flags.indices {
            try scaler.update(overflowed: flags[step])
            let ok = scaler.scale == scales[step] && scaler.growthTracker == Int(trackers[step])
            #expect(ok, "step \(step): got \(scaler), expected \(scales[step]), \(trackers[step])")
            guard ok else { break }
        }
    }

    @Test(arguments: [
        LossScale.dynamic(interval: 3), .dynamic(growth: 1.1, backoff: 0.3, interval: 4, maximum: 1e6), .fixed(3),
    ])
    func savingAndRestoringInMidIntervalChangesNothing(_ rule: LossScale) throws {
        var scaler = try LossScaler(rule)
        var resumed = scaler
        for step in 0..<30 {
            try scaler.update(overflowed: step % 7 == 4)
            try resumed.update(overflowed: step % 7 == 4)
            #expect(resumed == scaler, "step \(step)")
            resumed = try JSONDecoder().decode(LossScaler.self, from: JSONEncoder().encode(resumed))
        }
    }

    @Test func overflowBelowTheMinimumThrowsAndChangesNothing() throws {
        var scaler = try LossScaler(.dynamic(initial: 4, minimum: 1))
        try scaler.update(overflowed: true)
        try scaler.update(overflowed: true)
        #expect(scaler.scale == 1)
        #expect(throws: LossScaleError.belowMinimum(scale: 1, next: 0.5, minimum: 1)) {
            try scaler.update(overflowed: true)
        }
        #expect(scaler.scale == 1)
    }

    @Test func growthStopsAtTheMaximumAndBeforeInfinity() throws {
        var capped = try LossScaler(.dynamic(initial: 4, interval: 1, maximum: 10))
        for _ in 0..<5 { try capped.update(overflowed: false) }
        #expect(capped.scale == 8 && capped.growthTracker == 0)

        var huge = try LossScaler(.dynamic(initial: 0x1p125, interval: 1))
        for _ in 0..<5 { try huge.update(overflowed: false) }
        #expect(huge.scale == 0x1p127)
        // 2^-127 is subnormal and exact: gradients are unscaled without loss.
        #expect(huge.unscaleFactor == 0x1p-127)
    }

    @Test func aFixedScaleStays() throws {
        var scaler = try LossScaler(.fixed(128))
        try scaler.update(overflowed: true)
        try scaler.update(overflowed: false)
        #expect(scaler.scale == 128 && scaler.growthTracker == 0)
        #expect(scaler.unscaleFactor == 0x1p-7)
    }

    @Test(arguments: [
        LossScale.dynamic(growth: 1), .dynamic(growth: .nan), .dynamic(growth: .infinity), .dynamic(backoff: 0),
        .dynamic(backoff: 1), .dynamic(backoff: .nan), .dynamic(interval: 0), .dynamic(minimum: 0),
        .dynamic(minimum: .nan), .dynamic(minimum: 0x1p-140), .dynamic(initial: .infinity), .dynamic(initial: 0.5),
        .dynamic(initial: 4, maximum: 2), .dynamic(maximum: .nan), .fixed(0), .fixed(-1), .fixed(.nan),
        .fixed(.infinity),
    ])
    func invalidRulesAreRefused(_ rule: LossScale) {
        #expect(throws: LossScaleError.self) { try LossScaler(rule) }
    }

    @Test(arguments: [
        "\"scale\":0,\"growthTracker\":0", "\"scale\":-1,\"growthTracker\":0", "\"scale\":1e-45,\"growthTracker\":0",
        "\"scale\":1,\"growthTracker\":-1", "\"scale\":1",
    ])
    func invalidStatesAreRefused(_ fields: String) {
        let rule = "{\"initial\":1,\"growth\":2,\"backoff\":0.5,\"interval\":1,\"minimum\":1}"
        #expect(throws: (any Error).self) {
            try JSONDecoder().decode(LossScaler.self, from: Data("{\"rule\":\(rule),\(fields)}".utf8))
        }
    }
}

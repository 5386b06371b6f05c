// A range of numbers along a side of a chart, with the places that are named.
import Foundation

/// Maps values to 0...1 and chooses round numbers for the marks.
package struct ChartAxis {
    /// How values are spread.
    package enum Scale { case linear, log10, log2 }

    package let range: ClosedRange<Double>
    let scale: Scale

    /// An axis over some values; those that are not finite, or not positive on a logarithmic scale, are left out.
    package init(_ values: some Sequence<Double>, scale: Scale = .linear, includesZero: Bool = false) {
        let usable = values.filter { $0.isFinite && (scale == .linear || $0 > 0) }
        var (low, high) = (usable.min() ?? (scale == .linear ? 0 : 1), usable.max() ?? 1)
        self.scale = scale
        guard scale == .linear else {
            let base = scale == .log2 ? 2.0 : 10.0
            if low == high { (low, high) = (low / base, high * base) }
            range = low...high
            return
        }
        if includesZero { (low, high) = (min(low, 0), max(high, 0)) }
        if low == high { (low, high) = low == 0 ? (0, 1) : (min(low, 0), max(low, 0)) }
        range = low...high
    }

    /// Where a value lies, 0 at the low end.
    func place(_ value: Double) -> Double {
        (transformed(value) - transformed(range.lowerBound))
            / (transformed(range.upperBound) - transformed(range.lowerBound))
    }

    private func transformed(_ value: Double) -> Double {
        switch scale {
        case .linear: value
        case .log10: log10(value)
        case .log2: log2(value)
        }
    }

    /// Round numbers within the range, about `count` of them.
    package func ticks(_ count: Int) -> [(value: Double, label: String)] {
        switch scale {
        case .linear: linearTicks(count)
        case .log10, .log2: powerTicks(count)
        }
    }

    private func linearTicks(_ count: Int) -> [(value: Double, label: String)] {
        let raw = (range.upperBound - range.lowerBound) / Double(max(1, count))
        guard raw.isFinite else { return [] }
        let power = pow(10, log10(raw).rounded(.down))
        let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= raw * 0.999 } ?? 10 * power
        let first = (range.lowerBound / step - 1e-9).rounded(.up)
        let last = (range.upperBound / step + 1e-9).rounded(.down)
        guard last >= first, last - first < 100 else { return [] }
        return (0...Int(last - first)).map { index in
            let value = (first + Double(index)) * step
            return (value, Self.label(value, step: step))
        }
    }

    private func powerTicks(_ count: Int) -> [(value: Double, label: String)] {
        let first = Int(transformed(range.lowerBound).rounded(.up)),
            last = Int(transformed(range.upperBound).rounded(.down))
        if scale == .log10, last - first < 2 {  // few powers: their doubles and halves too
            let values = ((first - 1)...max(first - 1, last)).flatMap { (power: Int) -> [Double] in
                [1, 2, 5].map { $0 * pow(10, Double(power)) }
            }
            let inside = values.filter { range.contains($0) }
            if inside.count >= 2 { return inside.map { ($0, Self.label($0, step: $0)) } }
        }
        guard first <= last else {
            return [range.lowerBound, range.upperBound].map { ($0, Self.label($0, step: $0)) }
        }
        let every = max(1, (last - first + count) / max(1, count))
        return stride(from: first, through: last, by: every).map { (exponent: Int) -> (value: Double, label: String) in
            if scale == .log2 {
                let label = (0...20).contains(exponent) ? "\(1 << exponent)" : "2^\(exponent)"
                return (exp2(Double(exponent)), label)
            }
            let value = pow(10, Double(exponent))
            return (value, (-3...4).contains(exponent) ? Self.label(value, step: value) : "1e\(exponent)")
        }
    }

    /// A mark's number with the decimals that its step needs, thousands as k and millions as M.
    private static func label(_ value: Double, step: Double) -> String {
        if value != 0, abs(value) < 1e-4 || abs(value) >= 1e9 { return String(format: "%.2g", value) }
        for (unit, suffix) in [(1e6, "M"), (1e3, "k")] where step >= unit / 10 && abs(value) >= unit {
            return String(format: "%.6g%@", value / unit, suffix)
        }
        let decimals = max(0, min(6, Int((-log10(step) - 1e-9).rounded(.up))))
        return String(format: "%.\(decimals)f", value)
    }
}

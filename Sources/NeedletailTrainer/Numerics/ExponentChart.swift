// One histogram of exponents as inline SVG.
import NeedletailTensor

/// Bars over powers of two, on an axis that all charts of a page share, coloured by what float16 makes of them.
struct ExponentChart {
    /// The exponents that the axis shows.
    let axis: ClosedRange<Int>

    private let width = 300.0, plotHeight = 84.0, height = 106.0, margin = 6.0

    /// The axis for some layers: every exponent that occurs, and float16's whole range for comparison.
    init(for layers: [LayerNumerics]) {
        var range = -27...17
        for layer in layers {
            for values in layer.seen {
                guard let occupied = layer[values].occupied else { continue }
                range = min(range.lowerBound, occupied.lowerBound)...max(range.upperBound, occupied.upperBound)
            }
        }
        axis = range
    }

    /// The class of what float16 does to most values of an exponent.
    static func zone(of exponent: Int) -> String {
        switch exponent {
        case ..<(-25): "zero"
        case ..<(-14): "subnormal"
        case ..<16: "normal"
        default: "infinite"
        }
    }

    /// The chart of a histogram, with a name for those who cannot see it.
    func svg(_ histogram: ExponentHistogram, label: String) -> String {
        var text = """
            <svg viewBox="0 0 \(Self.number(width)) \(Self.number(height))" role="img" aria-label="\(label.escapedForXML)">

            """
        for (zone, range) in [
            ("zero", axis.lowerBound...(-26)), ("subnormal", -25...(-15)), ("infinite", 16...axis.upperBound),
        ] {
            let left = x(range.lowerBound), right = x(range.upperBound + 1)
            text += rectangle("band \(zone)", left, 0, right - left, plotHeight) + "/>\n"
        }
        let peak = histogram.counts.max() ?? 0
        for exponent in axis where histogram[exponent] > 0 {
            // A pixel at least, so that a single value among millions is seen.
            let bar = max(1.5, (plotHeight - 4) * Double(histogram[exponent]) / Double(peak))
            let share = NumericsText.percent(histogram.share(histogram[exponent])).escapedForXML
            let gap = min(1, 0.15 * step)
            text +=
                rectangle(
                    "bar \(Self.zone(of: exponent))", x(exponent) + gap / 2, plotHeight - bar, step - gap, bar)
                + "><title>2^\(exponent): \(share)</title></rect>\n"
        }
        text += """
            <line class="axis" x1="\(Self.number(margin))" y1="\(Self.number(plotHeight))" \
            x2="\(Self.number(width - margin))" y2="\(Self.number(plotHeight))"/>

            """
        for exponent in ticks {
            let place = exponent == axis.lowerBound ? " first" : exponent == axis.upperBound ? " last" : ""
            text += """
                <text class="tick\(place)" x="\(Self.number(x(exponent)))" y="\(Self.number(plotHeight + 15))">\
                2<tspan dy="-4" class="power">\(exponent < 0 ? "−" : "")\(abs(exponent))</tspan></text>

                """
        }
        return text + "</svg>\n"
    }

    /// float16's boundaries, and the ends of a long axis.
    private var ticks: [Int] {
        var ticks = [-25, -14, 0, 16]
        if axis.lowerBound < -36 { ticks.append(axis.lowerBound) }
        if axis.upperBound > 27 { ticks.append(axis.upperBound) }
        if axis.count > 120 { ticks.removeAll { $0 == -14 } }
        return ticks
    }

    private var step: Double { (width - 2 * margin) / Double(axis.count) }

    private func x(_ exponent: Int) -> Double { margin + step * Double(exponent - axis.lowerBound) }

    private func rectangle(_ name: String, _ x: Double, _ y: Double, _ width: Double, _ height: Double) -> String {
        """
        <rect class="\(name)" x="\(Self.number(x))" y="\(Self.number(y))" width="\(Self.number(width))" \
        height="\(Self.number(height))"
        """
    }

    /// Two decimals at most.
    private static func number(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        return hundredths % 100 == 0 ? "\(hundredths / 100)" : "\(Double(hundredths) / 100)"
    }
}

extension String {
    /// The text with the characters that mean something in XML written as entities.
    var escapedForXML: String {
        var text = ""
        for character in self {
            switch character {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            default: text.append(character)
            }
        }
        return text
    }
}

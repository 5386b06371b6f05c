// Curves over steps as inline SVG.
import Foundation

/// A chart of one or more curves that share both axes.
package struct LineChart {
    /// A curve.
    package struct Curve {
        let name: String
        let points: [DecimatedSeries.Point]
        /// Whether points are few and each is shown as a dot.
        let isMarked: Bool

        package init(name: String, points: [DecimatedSeries.Point], isMarked: Bool) {
            (self.name, self.points, self.isMarked) = (name, points, isMarked)
        }
    }

    let title: String
    let curves: [Curve]
    /// Places on the horizontal axis to be marked, such as skipped steps.
    var marks: [Double] = []
    var markName = ""
    var scale = ChartAxis.Scale.linear

    package init(title: String, curves: [Curve], scale: ChartAxis.Scale = .linear) {
        (self.title, self.curves, self.scale) = (title, curves, scale)
    }

    private static let width = 560.0, height = 240.0, left = 52.0, right = 12.0, top = 10.0, bottom = 26.0

    /// The chart with its title and legend.
    package func html(id: Int) -> String {
        let points = curves.flatMap(\.points)
        let horizontal = ChartAxis(points.map(\.x) + marks)
        // The means: single noisy steps may leave the picture, the curve does not.
        let means = points.map(\.mean)
        let vertical = ChartAxis(means, scale: scale)
        var svg = """
            <svg viewBox="0 0 \(Self.text(Self.width)) \(Self.text(Self.height))" role="img" \
            aria-label="\(title.escapedForXML) over steps">
            <clipPath id="plot\(id)"><rect x="\(Self.text(Self.left - 4))" y="\(Self.text(Self.top - 3))" \
            width="\(Self.text(Self.width - Self.left - Self.right + 8))" \
            height="\(Self.text(Self.height - Self.top - Self.bottom + 6))"/></clipPath>

            """
        for tick in vertical.ticks(5) {
            let y = Self.text(Self.y(vertical.place(tick.value)))
            svg += """
                <line class="grid" x1="\(Self.text(Self.left))" x2="\(Self.text(Self.width - Self.right))" y1="\(y)" y2="\(y)"/>\
                <text class="label end" x="\(Self.text(Self.left - 6))" y="\(y)" dy=".32em">\(tick.label)</text>

                """
        }
        for tick in horizontal.ticks(6) {
            svg += """
                <text class="label middle" x="\(Self.text(Self.x(horizontal.place(tick.value))))" \
                y="\(Self.text(Self.height - Self.bottom + 17))">\(tick.label)</text>

                """
        }
        svg += "<g clip-path=\"url(#plot\(id))\">\n"
        for mark in marks {
            let x = Self.text(Self.x(horizontal.place(mark)))
            svg += """
                <line class="mark" x1="\(x)" x2="\(x)" y1="\(Self.text(Self.top))" y2="\(Self.text(Self.height - Self.bottom))">\
                <title>\(markName.escapedForXML) at step \(Self.text(mark))</title></line>

                """
        }
        for (index, curve) in curves.enumerated() { svg += draw(curve, index, horizontal, vertical) }
        svg += "</g>\n</svg>\n"
        return "<figure class=\"chart\">\n<figcaption>\(title.escapedForXML)\(legend)</figcaption>\n\(svg)</figure>\n"
    }

    private var legend: String {
        var entries =
            curves.count == 1 && curves[0].name == title
            ? []
            : curves.enumerated().map { index, curve in
                "<span class=\"key c\(index % 6)\">\(curve.name.escapedForXML)</span>"
            }
        if !marks.isEmpty { entries.append("<span class=\"key skipped\">\(markName.escapedForXML)</span>") }
        return entries.isEmpty ? "" : "<span class=\"keys\">" + entries.joined(separator: " ") + "</span>"
    }

    /// The band between the smallest and largest values, the line of the means, dots where points are few.
    private func draw(_ curve: Curve, _ index: Int, _ horizontal: ChartAxis, _ vertical: ChartAxis) -> String {
        var text = ""
        for part in curve.points.split(whereSeparator: { !$0.mean.isFinite || (scale != .linear && $0.mean <= 0) }) {
            func place(_ point: DecimatedSeries.Point, _ value: Double) -> String {
                // Far outside is outside: no number that a renderer cannot hold.
                let share = max(
                    -3, min(4, vertical.place(scale == .linear ? value : max(value, .leastNormalMagnitude))))
                return Self.text(Self.x(horizontal.place(point.x))) + "," + Self.text(Self.y(share))
            }
            if part.contains(where: { $0.low < $0.high }) {
                let edge = part.map { place($0, $0.high) } + part.reversed().map { place($0, $0.low) }
                text += "<polygon class=\"spread c\(index % 6)\" points=\"\(edge.joined(separator: " "))\"/>\n"
            }
            let line = part.map { place($0, $0.mean) }
            if part.count > 1 {
                text += "<polyline class=\"curve c\(index % 6)\" points=\"\(line.joined(separator: " "))\"/>\n"
            }
            guard curve.isMarked || part.count == 1 else { continue }
            for (point, place) in zip(part, line) {
                let centre = place.split(separator: ",")
                text += """
                    <circle class="dot c\(index % 6)" cx="\(centre[0])" cy="\(centre[1])" r="2.6">\
                    <title>\(curve.name.escapedForXML) \(String(format: "%.5g", point.mean)) at step \
                    \(String(format: "%.0f", point.x))</title></circle>

                    """
            }
        }
        return text
    }

    private static func x(_ share: Double) -> Double { left + share * (width - left - right) }

    private static func y(_ share: Double) -> Double { height - bottom - share * (height - top - bottom) }

    /// One decimal at most.
    private static func text(_ value: Double) -> String {
        let text = String(format: "%.1f", value)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}

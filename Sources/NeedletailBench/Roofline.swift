// The roofline picture: what a kernel reaches, beside what its operations for each byte allow.
import Foundation

/// An SVG of measured roofs and of every result as a point.
///
/// Horizontal: operations for each byte that must be moved; vertical: operations a second, both logarithmic. A roof is the
/// lesser of the peak and of bandwidth times intensity; it is drawn for each level of memory.
/// Source: Williams, Waterman and Patterson, "Roofline", CACM 52, 2009.
package struct Roofline {
    /// One result in the picture.
    package struct Point {
        package let family: String
        package let label: String
        package let types: String
        package let threads: Int
        /// Operations for each byte.
        package let intensity: Double
        /// Operations a second.
        package let rate: Double

        package init(_ result: BenchmarkResult, _ work: Work) {
            family = result.family
            label = result.shortName
            types = result.types
            threads = result.threads
            intensity = work.operations / work.bytes
            rate = work.operations / result.medianSeconds
        }
    }

    package let title: String
    package let subtitle: String
    package let limits: [MachineLimits]
    package let points: [Point]
    /// FLOP/s of one thread in the CPU's own bf16 multiplication, where its kernels are in use.
    package let bfloat16Peak: Double?

    package init(
        title: String, subtitle: String, limits: [MachineLimits], points: [Point], bfloat16Peak: Double? = nil
    ) {
        self.bfloat16Peak = bfloat16Peak
        self.title = title
        self.subtitle = subtitle
        self.limits = limits
        self.points = points
    }

    private static let (width, height) = (1200.0, 800.0)
    private static let plot = Box(left: 84, top: 78, right: 1172, bottom: 716)
    private static let colors = ["float32": "#2f6db3", "bfloat16": "#d9690f", "float16": "#2e8b57"]
    private static let otherColor = "#8a5aa8"
    private static let levelColors: [MemoryLevel: String] = [.l2: "#6b7280", .l3: "#9a7b4f", .memory: "#b0505a"]

    /// The picture's text.
    package var svg: String {
        let scale = Scale(plot: Self.plot, limits: limits, points: points, bfloat16Peak: bfloat16Peak)
        var labels = LabelPlacement(area: Self.plot)
        var body = grid(scale)
        for (index, limit) in limits.enumerated() { body += roofs(limit, scale, isFirst: index == 0, &labels) }
        body += bfloat16Roof(scale, &labels)
        for point in points { labels.block(scale.x(point.intensity), scale.y(point.rate), radius: 6) }
        body += ties(scale)
        body += points.map { marker($0, scale) }
        body += names(scale, &labels)
        body += legend()
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" \
            width="\(Int(Self.width))" height="\(Int(Self.height))" \
            font-family="Helvetica, Arial, 'Liberation Sans', sans-serif" font-size="13" fill="#1f2430">
            <rect width="100%" height="100%" fill="#ffffff"/>
            \(text(Self.plot.left, 32, title, size: 20, weight: "bold"))
            \(text(Self.plot.left, 56, subtitle, size: 13, color: "#5b6270"))
            \(body.joined(separator: "\n"))
            </svg>

            """
    }

    // MARK: Parts

    private func grid(_ scale: Scale) -> [String] {
        let plot = Self.plot
        var parts: [String] = []
        for exponent in scale.xExponents {
            let x = scale.x(exp2(Double(exponent)))
            parts.append(line(x, plot.top, x, plot.bottom, "#e8eaee"))
            let name = exponent < 0 ? "1/\(1 << -exponent)" : "\(1 << exponent)"
            parts.append(text(x, plot.bottom + 20, name, anchor: "middle", color: "#5b6270"))
        }
        for value in scale.yValues {
            let y = scale.y(value * 1e9)
            parts.append(line(plot.left, y, plot.right, y, "#e8eaee"))
            let name = value < 1 ? "\(value)" : "\(Int(value))"
            parts.append(text(plot.left - 8, y + 4, name, anchor: "end", color: "#5b6270"))
        }
        parts.append(
            "<rect x=\"\(plot.left)\" y=\"\(plot.top)\" width=\"\(plot.right - plot.left)\" height=\"\(plot.bottom - plot.top)\""
                + " fill=\"none\" stroke=\"#c3c8d1\"/>")
        parts.append(
            text(
                (plot.left + plot.right) / 2, plot.bottom + 42, "operations for each byte that must be moved",
                anchor: "middle"))
        let (x, y) = (26.0, (plot.top + plot.bottom) / 2)
        parts.append(
            "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"middle\" transform=\"rotate(-90 \(x) \(y))\">billion operations a second</text>"
        )
        return parts
    }

    /// The roofs of one thread count, each with its figure along it.
    private func roofs(_ limit: MachineLimits, _ scale: Scale, isFirst: Bool, _ labels: inout LabelPlacement)
        -> [String]
    {
        let plot = Self.plot
        let style = isFirst ? "" : " stroke-dasharray=\"7 4\""
        let threads = limits.count > 1 ? ", \(limit.threads) thread\(limit.threads == 1 ? "" : "s")" : ""
        let ridge = limit.bandwidth.values.max().map { limit.peak / $0 } ?? scale.xRange.lowerBound
        let y = scale.y(limit.peak)
        var parts = [line(scale.x(ridge), y, plot.right, y, "#1f2430", width: 2, extra: style)]
        let name = "float32 multiply-add peak \(figure(limit.peak / 1e9)) GFLOP/s\(threads)"
        parts.append(text(scale.x(ridge) + 10, y - 7, name, weight: "bold"))
        labels.block(Box(left: scale.x(ridge), top: y - 20, right: scale.x(ridge) + 340, bottom: y + 3))
        labels.block(Box(left: scale.x(ridge), top: y - 2, right: plot.right, bottom: y + 2))
        for level in MemoryLevel.allCases {
            guard let bandwidth = limit.bandwidth[level] else { continue }
            let end = limit.peak / bandwidth
            // Where the line enters the plot: at the left edge or at the bottom.
            let start = max(scale.xRange.lowerBound, scale.yRange.lowerBound / bandwidth)
            let (x1, y1) = (scale.x(start), scale.y(start * bandwidth))
            let (x2, y2) = (scale.x(end), scale.y(limit.peak))
            let color = Self.levelColors[level] ?? "#000000"
            parts.append(line(x1, y1, x2, y2, color, width: 2, extra: style))
            for step in stride(from: 0.0, through: 1, by: 0.01) {
                labels.block(x1 + step * (x2 - x1), y1 + step * (y2 - y1), radius: 2)
            }
            let share = level == .l3 ? 0.55 : 0.82
            let side = level == .l3 ? 15.0 : -6  // under and over the line: two levels may lie close together
            let (x, y) = (x1 + share * (x2 - x1), y1 + share * (y2 - y1))
            let angle = atan2(y2 - y1, x2 - x1) * 180 / .pi
            let name = "\(level.rawValue) \(figure(bandwidth / 1e9)) GB/s\(threads)"
            parts.append(
                "<text x=\"\(number(x))\" y=\"\(number(y + side))\" text-anchor=\"middle\" fill=\"\(color)\" font-weight=\"bold\""
                    + " transform=\"rotate(\(number(angle)) \(number(x)) \(number(y)))\">\(name)</text>")
            let reach = Double(name.count) * 3.4
            for step in stride(from: -1.0, through: 1, by: 0.2) {
                let (dx, dy) = (reach * step * cos(angle * .pi / 180), reach * step * sin(angle * .pi / 180))
                labels.block(x + dx, y + (side > 0 ? 10 : -10) + dy, radius: 9)
            }
        }
        return parts
    }

    /// The peak of bf16 products where the CPU has an instruction for them, for one thread.
    private func bfloat16Roof(_ scale: Scale, _ labels: inout LabelPlacement) -> [String] {
        guard let peak = bfloat16Peak, limits.first?.threads == 1, let limit = limits.first else { return [] }
        let y = scale.y(peak), color = Self.colors["bfloat16"] ?? Self.otherColor
        let ridge = scale.x(limit.bandwidth.values.max().map { peak / $0 } ?? scale.xRange.lowerBound)
        labels.block(Box(left: ridge, top: y - 20, right: Self.plot.right, bottom: y + 3))
        let name = "bf16 kernel in the CPU's own instruction \(figure(peak / 1e9)) GFLOP/s"
        return [
            line(ridge, y, Self.plot.right, y, color, width: 1.5, extra: " stroke-dasharray=\"3 3\""),
            text(ridge + 10, y - 7, name, weight: "bold", color: color),
        ]
    }

    /// Thin lines from the uppermost point of a shape, which has the label, to those of its other types.
    private func ties(_ scale: Scale) -> [String] {
        Dictionary(grouping: points) { "\($0.family) \($0.label) \($0.threads)" }.sorted { $0.key < $1.key }
            .flatMap { _, group -> [String] in
                guard let top = group.max(by: { $0.rate < $1.rate }) else { return [] }
                return group.map { point in
                    line(
                        scale.x(top.intensity), scale.y(top.rate), scale.x(point.intensity), scale.y(point.rate),
                        "#c9ced8")
                }
            }
    }

    private func marker(_ point: Point, _ scale: Scale) -> String {
        let (x, y) = (scale.x(point.intensity), scale.y(point.rate))
        let color = Self.colors[point.types] ?? Self.otherColor
        let fill = point.threads == limits.first?.threads ? color : "#ffffff"
        return Self.shape(
            point.family, x, y, "fill=\"\(fill)\" fill-opacity=\"0.85\" stroke=\"\(color)\" stroke-width=\"1.5\"")
    }

    /// A marker for each family.
    private static func shape(_ family: String, _ x: Double, _ y: Double, _ style: String) -> String {
        func polygon(_ corners: [(Double, Double)]) -> String {
            let list = corners.map { "\(number(x + $0.0)),\(number(y + $0.1))" }.joined(separator: " ")
            return "<polygon points=\"\(list)\" \(style)/>"
        }
        switch BenchmarkFamily(rawValue: family) {
        case .gemm, nil: return "<circle cx=\"\(number(x))\" cy=\"\(number(y))\" r=\"4.5\" \(style)/>"
        case .nll: return polygon([(-4, -4), (4, -4), (4, 4), (-4, 4)])
        case .linearNLL: return polygon([(-4.5, -2), (0, -5.5), (4.5, -2), (3, 4), (-3, 4)])
        case .optimizer: return polygon([(0, -5), (5, 4), (-5, 4)])
        case .convert: return polygon([(0, 5), (5, -4), (-5, -4)])
        case .elementwise: return polygon([(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)])
        case .step:
            return polygon([
                (-2, -5), (2, -5), (2, -2), (5, -2), (5, 2), (2, 2), (2, 5), (-2, 5), (-2, 2), (-5, 2), (-5, -2),
                (-2, -2),
            ])
        case .attention: return polygon([(-5, -2), (5, -2), (5, 2), (-5, 2)])
        case .generation: return polygon([(-2, -5), (2, -5), (2, 5), (-2, 5)])
        }
    }

    /// A name for the points of each family and shape, at the uppermost of them.
    private func names(_ scale: Scale, _ labels: inout LabelPlacement) -> [String] {
        var order: [String] = []
        var best: [String: Point] = [:]
        for point in points where point.threads == limits.first?.threads {
            let key = point.family + point.label
            if best[key] == nil { order.append(key) }
            if point.rate > best[key]?.rate ?? 0 { best[key] = point }
        }
        let anchors = order.compactMap { best[$0] }.sorted { $0.rate > $1.rate }
        return anchors.flatMap { point -> [String] in
            let (x, y) = (scale.x(point.intensity), scale.y(point.rate))
            let box = labels.place(width: Double(point.label.count) * 6.1 + 4, height: 14, near: x, y)
            var parts: [String] = []
            let (nearX, nearY) = (min(max(x, box.left), box.right), min(max(y, box.top), box.bottom))
            if hypot(nearX - x, nearY - y) > 12 { parts.append(line(x, y, nearX, nearY, "#9aa1ad", width: 0.8)) }
            parts.append(text(box.left + 2, box.bottom - 3, point.label, size: 11.5))
            return parts
        }
    }

    private func legend() -> [String] {
        let types = ["float32", "bfloat16", "float16"].filter { type in points.contains { $0.types == type } }
        let families = BenchmarkFamily.allCases.filter { family in points.contains { $0.family == family.rawValue } }
        let y = Self.height - 16
        var x = Self.plot.left
        var parts: [String] = []
        func add(_ name: String, _ marker: (Double) -> String) {
            parts.append(marker(x + 6))
            parts.append(text(x + 17, y, name))
            x += 17 + Double(name.count) * 7.4 + 18
        }
        let hasOther = points.contains { Self.colors[$0.types] == nil }
        for type in types + (hasOther ? ["between types"] : []) {
            let color = Self.colors[type] ?? Self.otherColor
            add(type) {
                "<rect x=\"\($0 - 6)\" y=\"\(y - 10)\" width=\"12\" height=\"11\" rx=\"2\" fill=\"\(color)\"/>"
            }
        }
        for family in families {
            add(family.rawValue) {
                Self.shape(family.rawValue, $0, y - 5, "fill=\"#ffffff\" stroke=\"#1f2430\" stroke-width=\"1.5\"")
            }
        }
        if limits.count > 1 {
            parts.append(text(x + 4, y, "filled: \(limits[0].threads) thread\(limits[0].threads == 1 ? "" : "s")"))
        }
        return parts
    }

    private func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ color: String, width: Double = 1, extra: String = ""
    ) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" stroke=\"\(color)\""
            + " stroke-width=\"\(width)\"\(extra)/>"
    }

    private func text(
        _ x: Double, _ y: Double, _ content: String, anchor: String = "start", size: Double = 13,
        weight: String = "normal",
        color: String = "#1f2430"
    ) -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" font-weight=\"\(weight)\""
            + " fill=\"\(color)\" paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3\" stroke-linejoin=\"round\">"
            + "\(escaped(content))</text>"
    }
}

/// From figures to places, both axes logarithmic.
private struct Scale {
    let plot: Box
    let xRange: ClosedRange<Double>
    let yRange: ClosedRange<Double>

    init(plot: Box, limits: [MachineLimits], points: [Roofline.Point], bfloat16Peak: Double?) {
        self.plot = plot
        let peak = limits.map(\.peak).max() ?? 1e9
        let ridges = limits.flatMap { limit in limit.bandwidth.values.map { limit.peak / $0 } }
        let intensities = points.map(\.intensity) + ridges
        let rates = points.map(\.rate) + [peak / 4]
        xRange = exp2(floor(log2((intensities.min() ?? 0.1) * 0.8)))...exp2(ceil(log2((intensities.max() ?? 10) * 1.3)))
        yRange = (rates.min() ?? 1e9) * 0.6...(max(peak, bfloat16Peak ?? 0, rates.max() ?? 0) * 1.7)
    }

    func x(_ intensity: Double) -> Double {
        plot.left + (plot.right - plot.left) * log(intensity / xRange.lowerBound)
            / log(xRange.upperBound / xRange.lowerBound)
    }

    func y(_ rate: Double) -> Double {
        plot.bottom - (plot.bottom - plot.top) * log(rate / yRange.lowerBound)
            / log(yRange.upperBound / yRange.lowerBound)
    }

    var xExponents: ClosedRange<Int> { Int(log2(xRange.lowerBound).rounded())...Int(log2(xRange.upperBound).rounded()) }

    /// 1, 2, 5, 10, … that lie in the range, in billions.
    var yValues: [Double] {
        (-3...6).flatMap { exponent in [1, 2, 5].map { $0 * pow(10, Double(exponent)) } }.filter {
            yRange.contains($0 * 1e9)
        }
    }
}

/// A rectangle, y downwards.
package struct Box {
    package var left: Double, top: Double, right: Double, bottom: Double

    package init(left: Double, top: Double, right: Double, bottom: Double) {
        (self.left, self.top, self.right, self.bottom) = (left, top, right, bottom)
    }

    package func overlap(_ other: Box) -> Double {
        max(0, min(right, other.right) - max(left, other.left))
            * max(0, min(bottom, other.bottom) - max(top, other.top))
    }
}

/// Finds places for labels where they cover neither points nor one another.
package struct LabelPlacement {
    let area: Box
    private var taken: [Box] = []

    package init(area: Box) { self.area = area }

    /// Keeps labels off a point.
    package mutating func block(_ x: Double, _ y: Double, radius: Double) {
        taken.append(Box(left: x - radius, top: y - radius, right: x + radius, bottom: y + radius))
    }

    /// Keeps labels off a rectangle.
    package mutating func block(_ box: Box) { taken.append(box) }

    /// The nearest free place, or the least covered one; it is taken from then on.
    package mutating func place(width: Double, height: Double, near x: Double, _ y: Double) -> Box {
        var best: (cost: Double, box: Box)?
        for radius in stride(from: 8.0, through: 200, by: 8) {
            for angle in stride(from: 0.0, to: 360, by: 22.5) {
                let (dx, dy) = (cos(angle * .pi / 180), sin(angle * .pi / 180))
                let centre = (x + dx * (radius + width / 2), y + dy * (radius + height / 2))
                let box = Box(
                    left: centre.0 - width / 2, top: centre.1 - height / 2, right: centre.0 + width / 2,
                    bottom: centre.1 + height / 2)
                let inside =
                    box.left >= area.left && box.right <= area.right && box.top >= area.top && box.bottom <= area.bottom
                let cost = taken.reduce(inside ? 0 : 1e9) { $0 + $1.overlap(box) }
                if cost == 0 {
                    taken.append(box)
                    return box
                }
                if cost < best?.cost ?? .infinity { best = (cost, box) }
            }
        }
        let box = best?.box ?? Box(left: x, top: y, right: x + width, bottom: y + height)
        taken.append(box)
        return box
    }
}

private func number(_ value: Double) -> String { String(format: "%.1f", value) }

private func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
        .replacingOccurrences(of: ">", with: "&gt;")
}

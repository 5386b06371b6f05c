// The report of a run as one page of HTML that is well-formed XML too: styles and drawings inline, no script, no links
// outside.
import Foundation

/// The page of what a ``RunReport`` has collected.
package struct RunReportPage {
    private let content: RunReportContent

    init(_ content: RunReportContent) { self.content = content }

    /// The whole page.
    var text: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <title>\(title.escapedForXML)</title>
        <style>
        \(NumericsPage.style)
        \(Self.style)
        </style>
        </head>
        <body>
        \(head)\(tiles)\(warnings)\(charts)\(summary)\(tables)\(numerics)</body>
        </html>

        """
    }

    private var title: String { "\(content.model) in \(content.precision)" }

    private var head: String {
        let started = Date(timeIntervalSince1970: content.started).formatted(.iso8601)
        return """
            <h1>\(title.escapedForXML)</h1>
            <p class="lead">Begun \(started), \(content.state.escapedForXML), \
            \(Self.duration(content.seconds)).\(continued)</p>

            """
    }

    private var continued: String {
        content.continuedFrom.map { " Continued from step \(ModelSummary.grouped($0)): times are of this part." } ?? ""
    }

    /// The few numbers that one looks for first.
    private var tiles: String {
        let state = content.trainerState
        var tiles: [(String, String)] = [
            ("epochs", "\(state.epoch)"), ("steps applied", ModelSummary.grouped(state.globalStep)),
            ("samples a second", ModelSummary.grouped(Int(exactly: content.samplesPerSecond.rounded()) ?? 0)),
        ]
        if content.skippedSteps > 0 || !content.scale.points.isEmpty {
            tiles.insert(("steps skipped", ModelSummary.grouped(content.skippedSteps)), at: 2)
        }
        let evaluated = content.metrics.map(\.name).filter {
            $0.hasPrefix("test") || $0.hasPrefix("val")
        }
        for name in evaluated.suffix(4) { tiles.append((name, Self.number(content.final[name] ?? .nan))) }
        let html = tiles.map {
            "<div class=\"tile\"><b>\($0.1.escapedForXML)</b><span>\($0.0.escapedForXML)</span></div>"
        }
        return "<div class=\"tiles\">\n\(html.joined(separator: "\n"))\n</div>\n"
    }

    private var warnings: String {
        var text = ""
        if let error = content.error { text += "<pre class=\"error\">\(error.escapedForXML)</pre>\n" }
        for notice in content.notices { text += "<p class=\"notice\">\(notice.escapedForXML)</p>\n" }
        return text
    }

    // MARK: Charts

    private var charts: String {
        let charts = metricCharts + stepCharts
        guard !charts.isEmpty else { return "<p>No step has been recorded yet.</p>\n" }
        let figures = charts.enumerated().map { $0.element.html(id: $0.offset) }
        return "<div class=\"charts\">\n\(figures.joined())</div>\n"
    }

    /// Metrics whose names differ only in the stage (`train_`, `val_`, …) and in `_step` and `_epoch` share a chart.
    private var metricCharts: [LineChart] {
        var groups: [(name: String, curves: [LineChart.Curve])] = [("loss", [])]
        if content.loss.points.contains(where: { $0.count > 0 }) {
            groups[0].curves.append(.init(name: "every step", points: content.loss.points, isMarked: false))
        }
        for metric in content.metrics {
            let name = Self.subject(of: metric.name)
            // Of every step there is a curve already; those that were logged are some of it.
            if name == "loss", !metric.isMarked, !groups[0].curves.isEmpty { continue }
            // A test is one number: it stands among the tiles.
            if metric.name.hasPrefix("test"), metric.series.points.count == 1 { continue }
            let index =
                groups.firstIndex { $0.name == name }
                ?? {
                    groups.append((name, []))
                    return groups.count - 1
                }()
            groups[index].curves.append(
                .init(name: metric.name, points: metric.series.points, isMarked: metric.isMarked))
        }
        return groups.filter { !$0.curves.isEmpty }.map { LineChart(title: $0.name, curves: $0.curves) }
    }

    /// `train_loss_epoch` and `val/loss` are about `loss`.
    package static func subject(of name: String) -> String {
        var name = name[...]
        for prefix in ["training", "train", "validation", "valid", "val", "test"] {
            for separator in ["_", "/", "-"] where name.hasPrefix(prefix + separator) {
                name.removeFirst(prefix.count + 1)
            }
        }
        for suffix in ["_step", "_epoch"] where name.hasSuffix(suffix) { name.removeLast(suffix.count) }
        return String(name)
    }

    /// Learning rate, loss scale with the skipped steps, norm of the gradients.
    private var stepCharts: [LineChart] {
        var charts: [LineChart] = []
        if content.rates.contains(where: { !$0.points.isEmpty }) {
            let curves = content.rates.enumerated().map { index, series in
                LineChart.Curve(
                    name: content.rates.count == 1 ? "learning rate" : "lr-\(index)", points: series.points,
                    isMarked: false)
            }
            charts.append(LineChart(title: "learning rate", curves: curves))
        }
        let marked = { (chart: LineChart) in
            var chart = chart
            (chart.marks, chart.markName) = (content.skipped, "skipped")
            return chart
        }
        if !content.scale.points.isEmpty {
            let curve = LineChart.Curve(name: "loss scale", points: content.scale.points, isMarked: false)
            charts.append(marked(LineChart(title: "loss scale", curves: [curve], scale: .log2)))
        }
        if content.gradientNorm.points.contains(where: { $0.mean > 0 }) {
            let curve = LineChart.Curve(name: "gradient norm", points: content.gradientNorm.points, isMarked: false)
            let chart = LineChart(title: "gradient norm", curves: [curve], scale: .log10)
            charts.append(content.scale.points.isEmpty ? marked(chart) : chart)
        }
        return charts
    }

    // MARK: Tables

    private var summary: String {
        guard let summary = content.summary else { return "" }
        let (titles, rows, isNumber) = summary.cells()
        let head = zip(titles, isNumber).map { "<th\($1 ? " class=\"n\"" : "")>\($0.escapedForXML)</th>" }.joined()
        let body = rows.map { row in
            "<tr>" + zip(row, isNumber).map { "<td\($1 ? " class=\"n\"" : "")>\($0.escapedForXML)</td>" }.joined()
                + "</tr>"
        }
        let totals = summary.totals.map(\.escapedForXML).joined(separator: "<br/>")
        return """
            <section class="wide"><h2>Weights</h2>
            <table class="rows"><thead><tr>\(head)</tr></thead>
            <tbody>
            \(body.joined(separator: "\n"))
            </tbody></table>
            <p class="note">\(totals)</p>
            </section>

            """
    }

    private var tables: String {
        let values = content.metrics.map { ($0.name, Self.number(content.final[$0.name] ?? .nan)) }
        let optimizers = content.optimizers.enumerated().map { ("optimizer \($0.offset)", $0.element) }
        return "<div class=\"tables\">\n"
            + [
                table("Last values", values), table("Hyper-parameters", content.hyperparameters),
                table("Training", content.options + optimizers), table("Machine", RunReportContent.environment),
            ].joined() + "</div>\n"
    }

    private func table(_ title: String, _ rows: [(String, String)]) -> String {
        guard !rows.isEmpty else { return "" }
        let body = rows.map { "<tr><th>\($0.0.escapedForXML)</th><td>\($0.1.escapedForXML)</td></tr>" }
        return """
            <section><h2>\(title)</h2>
            <table class="pairs"><tbody>
            \(body.joined(separator: "\n"))
            </tbody></table></section>

            """
    }

    private var numerics: String {
        content.numerics.map { "<h2 class=\"part\">Ranges of each layer</h2>\n" + $0 } ?? ""
    }

    private static func number(_ value: Double) -> String { String(format: "%.4g", value) }

    private static func duration(_ seconds: Double) -> String {
        seconds < 60 ? String(format: "%.1f s", seconds) : ProgressBar.time(seconds) + " min"
    }

    private static let style = """
        :root { --c0: #3b76c4; --c1: #d9822b; --c2: #1d7a4a; --c3: #8e3fa8; --c4: #b3372c; --c5: #4b8f8c; }
        @media (prefers-color-scheme: dark) {
          :root { --c0: #6ea3e8; --c1: #f0a860; --c2: #5cc48f; --c3: #bd7ad4; --c4: #ee8279; --c5: #7fc7c3; } }
        .tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin-bottom: 1.2rem; }
        .tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: .6rem 1rem;
          display: flex; flex-direction: column; min-width: 8rem; }
        .tile b { font-size: 1.35rem; font-weight: 600; } .tile span { color: var(--soft); font-size: .85em; }
        .charts, .tables { display: grid; gap: 1.2rem; margin-bottom: 1.2rem;
          grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
        .tables { grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); align-items: start; }
        .tables section { margin: 0; overflow-x: auto; }
        figure.chart { max-width: none; background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
          padding: .9rem 1rem .6rem; }
        .keys { font-weight: 400; font-size: .85em; text-align: right; }
        .key.c0::before, .key.c1::before, .key.c2::before, .key.c3::before, .key.c4::before, .key.c5::before
          { background: currentColor; }
        .key.c0 { color: var(--c0); } .key.c1 { color: var(--c1); } .key.c2 { color: var(--c2); }
        .key.c3 { color: var(--c3); } .key.c4 { color: var(--c4); } .key.c5 { color: var(--c5); }
        .key.skipped { color: var(--bad); }
        .grid { stroke: var(--rule); stroke-width: 1; } .mark { stroke: var(--bad); stroke-width: 1.2; opacity: .6; }
        .label { fill: var(--soft); font-size: 11px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
        .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .spread { opacity: .18; stroke: none; }
        .curve.c0, .dot.c0 { stroke: var(--c0); } .curve.c1, .dot.c1 { stroke: var(--c1); }
        .curve.c2, .dot.c2 { stroke: var(--c2); } .curve.c3, .dot.c3 { stroke: var(--c3); }
        .curve.c4, .dot.c4 { stroke: var(--c4); } .curve.c5, .dot.c5 { stroke: var(--c5); }
        .spread.c0 { fill: var(--c0); } .spread.c1 { fill: var(--c1); } .spread.c2 { fill: var(--c2); }
        .spread.c3 { fill: var(--c3); } .spread.c4 { fill: var(--c4); } .spread.c5 { fill: var(--c5); }
        .dot { fill: var(--card); stroke-width: 1.6; }
        .wide { overflow-x: auto; }
        .rows { width: 100%; margin-top: .6rem; font-size: .92em; }
        .rows td, .rows th { padding: .3rem .6rem; white-space: nowrap; } .rows td { border-top: 1px solid var(--rule); }
        .pairs { margin-top: .4rem; font-size: .92em; } .pairs th { padding: .15rem 1.2rem .15rem 0; white-space: nowrap;
          vertical-align: top; } .pairs td { overflow-wrap: anywhere; }
        .error { background: var(--card); border: 1px solid var(--bad); border-left-width: 5px; border-radius: 8px;
          padding: .8rem 1rem; white-space: pre-wrap; }
        .notice { border-left: 4px solid var(--fair); padding-left: .8rem; }
        .part { margin: 1.6rem 0 .2rem; font-size: 1.3rem; }
        """
}

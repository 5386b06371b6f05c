// The numerics report as one page of HTML that is well-formed XML too: styles and drawings inline, no script, no links
// outside. Equal runs give equal bytes.
import NeedletailTensor

/// The report for a browser.
package enum NumericsPage {
    package static func text(of layers: [LayerNumerics], heading: String) -> String {
        let body = "<h1>Numerics</h1>\n" + sections(of: layers, heading: heading)
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <title>Numerics</title>
            <style>
            \(style)
            </style>
            </head>
            <body>
            \(body)</body>
            </html>

            """
    }

    /// What the page shows below its title, for other pages too.
    static func sections(of layers: [LayerNumerics], heading: String) -> String {
        let lead = "<p class=\"lead\">Values \(heading.escapedForXML).</p>\n"
        guard !layers.isEmpty else { return lead + "<p>No step has been recorded yet.</p>\n" }
        let chart = ExponentChart(for: layers)
        return lead + overview(layers) + legend
            + layers.enumerated().map { section($0.element, $0.offset, chart) }.joined()
    }

    /// Each layer with its recommendation.
    private static func overview(_ layers: [LayerNumerics]) -> String {
        var text = """
            <table class="overview">
            <thead><tr><th>Layer</th><th>Type</th><th class="n">Parameters</th><th>fp16</th><th>bf16</th></tr></thead>
            <tbody>

            """
        for (index, layer) in layers.enumerated() {
            let advice = layer.recommendation
            text += """
                <tr><td><a href="#layer\(index)">\(layer.title.escapedForXML)</a></td>\
                <td>\(layer.type.escapedForXML)</td><td class="n">\(ModelSummary.grouped(layer.parameterCount))</td>\
                <td>\(badge(advice.float16))</td><td>\(badge(advice.bfloat16))</td></tr>

                """
        }
        return text + "</tbody>\n</table>\n"
    }

    private static func badge(_ verdict: PrecisionRecommendation.Verdict) -> String {
        let kind =
            switch verdict {
            case .fine: "good"
            case .scaled: "fair"
            default: "bad"
            }
        return "<span class=\"badge \(kind)\">\(verdict.text.escapedForXML)</span>"
    }

    private static let legend = """
        <p class="legend">Bars count values by binary exponent. In fp16 they become
        <span class="key zero">zero</span> <span class="key subnormal">subnormal</span>
        <span class="key normal">normal</span> <span class="key infinite">infinite</span>
        numbers; bf16 has normal numbers from 2<sup>−126</sup> to 2<sup>128</sup>. Shares are of the values that are not
        zero. Gradients are without the loss scale.</p>

        """

    /// A layer: a figure and its numbers for each kind of values.
    private static func section(_ layer: LayerNumerics, _ index: Int, _ chart: ExponentChart) -> String {
        var text = """
            <section id="layer\(index)">
            <h2>\(layer.title.escapedForXML) <small>\(layer.type.escapedForXML)</small></h2>
            <p class="advice">\("\(layer.recommendation)".escapedForXML)</p>
            <div class="figures">

            """
        for values in layer.seen {
            let histogram = layer[values]
            text += """
                <figure>
                <figcaption>\(values.rawValue.capitalizedFirst) \
                <small>\(NumericsText.range(histogram))</small></figcaption>
                \(chart.svg(histogram, label: "\(layer.title), \(values.rawValue): counts by exponent"))\
                <table class="shares">
                <thead><tr><th></th><th class="n">zero</th><th class="n">subnormal</th><th class="n">infinite</th></tr></thead>
                <tbody>
                \(shares("fp16", histogram, histogram.float16))\(shares("bf16", histogram, histogram.bfloat16))</tbody>
                </table>
                <p class="note">\(note(histogram))</p>
                </figure>

                """
        }
        return text + "</div>\n</section>\n"
    }

    private static func shares(
        _ name: String, _ histogram: ExponentHistogram, _ losses: ExponentHistogram.Losses
    ) -> String {
        let cells = [losses.flushed, losses.subnormal, losses.saturated].map { count in
            let text = NumericsText.percent(histogram.share(count)).escapedForXML
            return "<td class=\"n\(count > 0 ? " some" : "")\">\(text)</td>"
        }
        return "<tr><th>\(name)</th>\(cells.joined())</tr>\n"
    }

    private static func note(_ histogram: ExponentHistogram) -> String {
        let zeros = Double(histogram.zeros) / Double(max(1, histogram.total))
        let broken = histogram.nonFinite == 0 ? "" : ", \(ModelSummary.grouped(histogram.nonFinite)) infinite or NaN"
        return
            "\(ModelSummary.grouped(histogram.total)) values, \(NumericsText.percent(zeros).escapedForXML) zero\(broken)"
    }

    static let style = """
        :root { color-scheme: light dark; --text: #1c2330; --soft: #667085; --page: #f6f7f9; --card: #fff; --rule: #e3e6eb;
          --normal: #3b76c4; --subnormal: #e0a030; --zero: #cf4a3f; --infinite: #8e3fa8;
          --good: #1d7a4a; --fair: #96690a; --bad: #b3372c; }
        @media (prefers-color-scheme: dark) {
          :root { --text: #e6e9ef; --soft: #98a2b3; --page: #14171c; --card: #1d2128; --rule: #323842;
            --normal: #6ea3e8; --subnormal: #e6b455; --zero: #e5736a; --infinite: #bd7ad4;
            --good: #5cc48f; --fair: #e0b04e; --bad: #ee8279; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 84rem; padding: 2rem 1.5rem 4rem; background: var(--page); color: var(--text);
          font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
        h1 { font-size: 1.7rem; margin: 0; }
        h2 { font-size: 1.15rem; margin: 0; }
        small, .lead, .note, .legend { color: var(--soft); }
        small { font-weight: 400; font-size: .85em; }
        .lead { margin: .2rem 0 1.5rem; }
        table { border-collapse: collapse; }
        th { text-align: left; font-weight: 500; color: var(--soft); }
        .n { text-align: right; }
        section, .overview { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
        .overview { border-collapse: separate; border-spacing: 0; width: 100%; overflow: hidden; }
        .overview td, .overview th { padding: .5rem .9rem; }
        .overview td { border-top: 1px solid var(--rule); }
        .overview a { color: var(--normal); text-decoration: none; font-weight: 500; }
        .badge { font-weight: 500; }
        .good { color: var(--good); } .fair { color: var(--fair); } .bad { color: var(--bad); }
        .legend { margin: 1.2rem 0; }
        .key { color: var(--text); white-space: nowrap; margin-left: .4em; }
        .key::before { content: ""; display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .3em;
          background: currentColor; vertical-align: -.04em; }
        .key.zero::before { background: var(--zero); } .key.subnormal::before { background: var(--subnormal); }
        .key.normal::before { background: var(--normal); } .key.infinite::before { background: var(--infinite); }
        section { padding: 1.1rem 1.3rem; margin-bottom: 1.2rem; }
        .advice { margin: .1rem 0 1rem; }
        .figures { display: grid; gap: 1.4rem; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); }
        figure { margin: 0; max-width: 26rem; }
        figcaption { font-weight: 500; display: flex; justify-content: space-between; gap: 1em; margin-bottom: .3rem; }
        svg { display: block; width: 100%; height: auto; }
        .band { opacity: .1; }
        rect.zero { fill: var(--zero); } rect.subnormal { fill: var(--subnormal); }
        rect.normal { fill: var(--normal); } rect.infinite { fill: var(--infinite); }
        .axis { stroke: var(--soft); stroke-width: 1; }
        .tick { fill: var(--soft); font-size: 10.5px; text-anchor: middle; } .power { font-size: 8px; }
        .first { text-anchor: start; } .last { text-anchor: end; } sup { line-height: 0; }
        .shares { width: 100%; table-layout: fixed; font-size: .87em; }
        .shares td, .shares th { padding: .08rem 0; }
        .shares td { color: var(--soft); } .shares td.some { color: var(--text); font-weight: 500; }
        .note { margin: .3rem 0 0; font-size: .82em; }
        """
}

extension NumericsText {
    /// The smallest and the largest magnitude.
    static func range(_ histogram: ExponentHistogram) -> String {
        guard histogram.finiteNonZero > 0 else { return "no values but zero" }
        return "\(magnitude(histogram.smallest)) … \(magnitude(histogram.largest))"
    }
}

extension String {
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}

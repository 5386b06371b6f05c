import Foundation
import Needletail
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

@Suite struct RunReportTests {
    /// Counts a page's elements by name and class; nil where it is not well-formed.
    private final class Elements: NSObject, XMLParserDelegate {
        private(set) var counts: [String: Int] = [:]
        private(set) var text = ""

        init?(_ page: String) {
            super.init()
            let parser = XMLParser(data: Data(page.utf8))
            parser.delegate = self
            guard parser.parse() else { return nil }
        }

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String]
        ) {
            counts[name, default: 0] += 1
            for word in (attributes["class"] ?? "").split(separator: " ") { counts["\(name).\(word)", default: 0] += 1 }
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
    }

    private func run(
        _ path: String, rows: Range<Int> = 0..<0, epochs: Int = 2,
        _ configure: (inout TrainerConfiguration) -> Void = { _ in }
    ) throws -> Trainer {
        let trainer = quietTrainer(maxEpochs: epochs, precision: .mixedFloat16) {
            $0.callbacks = [RunReport(to: path)]
            $0.logEveryNSteps = 1
            configure(&$0)
        }
        let data = Points(64, infiniteRows: rows)
        try trainer.fit(
            SmallClassifier(), train: DataLoader(data, batchSize: 16),
            validation: DataLoader(Points(32, seed: 8), batchSize: 16))
        return trainer
    }

    @Test func aPageShowsTheRun() throws {
        let directory = try TemporaryDirectory()
        let trainer = try run(directory("report.html"), rows: 17..<18) { $0.callbacks.append(NumericsReport(every: 2)) }
        let page = text(directory("report.html"))
        let elements = try #require(Elements(page))
        // Loss, learning rate, loss scale, gradient norm; the layers' ranges have pictures of their own.
        #expect(elements.counts["figure.chart"] == 4)
        // One batch an epoch holds an infinite row.
        #expect(trainer.state.skippedSteps == 2)
        #expect(elements.counts["line.mark"] == 2)
        #expect(elements.counts["polyline.curve"] ?? 0 >= 4)
        for name in [
            "SmallClassifier in 16-mixed", "train_loss_epoch", "val_loss", "learning rate", "loss scale",
            "steps skipped",
            "Hyper-parameters", "hidden", "finished", "Ranges of each layer", "maxEpochs",
        ] { #expect(elements.text.contains(name), "\(name)") }
        for word in ["http", "<script", "<link", "src=", "url(\"", "@import"] {
            #expect(!page.contains(word), "\(word)")
        }
    }

    /// A page stands from the first moment, follows each epoch, and tells of an error.
    @Test func aPageFollowsTheRun() throws {
        let directory = try TemporaryDirectory()
        final class Look: Callback {
            let path: String
            var pages: [String] = []
            init(_ path: String) { self.path = path }
            override var runsLast: Bool { true }
            override func onFitStart(_ trainer: Trainer, _ module: TrainingModule) { pages.append(text(path)) }
            override func onTrainEpochStart(_ trainer: Trainer, _ module: TrainingModule) { pages.append(text(path)) }
        }
        struct Failure: Error, CustomStringConvertible { var description: String { "<it> broke & fell" } }
        final class Breaking: Callback {
            override func onTrainEpochEnd(_ trainer: Trainer, _ module: TrainingModule) throws {
                if trainer.state.epoch == 1 { throw Failure() }
            }
        }
        let look = Look(directory("report.html"))
        #expect(throws: Failure.self) {
            _ = try run(directory("report.html"), epochs: 3) { $0.callbacks += [look, Breaking()] }
        }
        #expect(look.pages.count == 3 && look.pages.allSatisfy { Elements($0) != nil })
        #expect(look.pages[0].contains("No step has been recorded yet") && look.pages[2].contains("epoch 1 done"))
        let last = text(directory("report.html"))
        #expect(last.contains("ended by an error") && last.contains("&lt;it&gt; broke &amp; fell"))
        #expect(Elements(last) != nil)
    }

    /// A run that goes on from a checkpoint, to the same path or another, shows what an uninterrupted one shows.
    @Test func aContinuedRunShowsItsBeginning() throws {
        let directory = try TemporaryDirectory()
        func page(_ name: String, _ folder: String, steps: Int? = nil, resume: ResumePoint? = nil) throws -> String {
            let trainer = quietTrainer(maxEpochs: 3, maxSteps: steps, precision: .mixedFloat16) {
                $0.callbacks = [RunReport(to: directory(name)) { 0 }]
                $0.rootDirectory = directory(folder)
                $0.logEveryNSteps = 1
            }
            try trainer.fit(
                SmallClassifier(), train: DataLoader(Points(64, infiniteRows: 17..<18), batchSize: 4),
                validation: DataLoader(Points(32, seed: 8), batchSize: 16), resume: resume)
            return text(directory(name))
        }
        func charts(_ page: String) -> Substring? {
            guard let start = page.range(of: "<div class=\"charts\">"), let end = page.range(of: "<h2>") else {
                return nil
            }
            return page[start.lowerBound..<end.lowerBound]
        }
        let whole = try #require(charts(page("whole.html", "whole")))
        let first = try page("report.html", "parts", steps: 20)
        #expect(try #require(charts(first)) != whole)
        let second = try page("report.html", "parts", resume: .last)
        #expect(try #require(charts(second)) == whole)
        #expect(second.contains("Continued from step 20"))
        #expect(try #require(charts(page("elsewhere.html", "parts", resume: .last))) == whole)
        // Nothing is left to train now: the page is the same but for its first lines.
        #expect(try #require(charts(page("report.html", "parts", resume: .last))) == whole)
        #expect(try !Checkpoint(directory("parts/checkpoints/last")).callbacks.isEmpty)
    }

    /// A page that may be of the same run's beginning is never lost: not to a checkpoint without curves, not to one that
    /// cannot be read.
    @Test func anEarlierPageIsKept() throws {
        let directory = try TemporaryDirectory()
        let data = DataLoader(Points(64), batchSize: 16)
        func trainer(_ epochs: Int, report: Bool) -> Trainer {
            quietTrainer(maxEpochs: epochs) {
                $0.callbacks = report ? [RunReport(to: directory("report.html"))] : []
                $0.rootDirectory = directory.path
            }
        }
        try trainer(1, report: false).fit(SmallClassifier(), train: data)
        try Data("an earlier page".utf8).write(to: URL(fileURLWithPath: directory("report.html")))
        #expect(throws: CheckpointError.self) {
            try trainer(2, report: true).fit(SmallClassifier(), train: data, resume: .path(directory("nowhere")))
        }
        #expect(text(directory("report.html")) == "an earlier page")
        let going = trainer(2, report: true)
        try going.fit(SmallClassifier(), train: data, resume: .last)
        #expect(text(directory("report-1.html")) == "an earlier page")
        #expect(text(directory("report.html")).contains("Continued from step 4"))
        #expect(going.notices.contains { $0.contains("report-1.html") })
    }

    /// Curves come back as they were; what can be no curve is an error and no trap.
    @Test func curvesComeBack() throws {
        for count in [0, 1, 1500, 5000] {
            var series = DecimatedSeries()
            for index in 0..<count { series.append(Double(index), index % 5 == 0 ? .nan : Double(index % 7)) }
            var copy = try DecimatedSeries(layout: series.layout)
            var rows = series.rows[...]
            try copy.fill(from: &rows)
            #expect(rows.isEmpty && copy.layout == series.layout)
            // NaN is not equal to itself, but its bits are.
            #expect(copy.rows.map(\.bitPattern) == series.rows.map(\.bitPattern))
            copy.append(1, 2)
            series.append(1, 2)
            #expect(copy.rows.map(\.bitPattern) == series.rows.map(\.bitPattern))
        }
        for (stride, nonFinite, merged, open) in [
            (0, 0, 0, 0), (3, 0, 0, 0), (1, -1, 0, 0), (1, 0, 1024, 0), (1, 0, -1, 0), (4, 0, 2, 4), (.max, 0, 0, 0),
        ] {
            let layout = DecimatedSeries.Layout(stride: stride, nonFinite: nonFinite, merged: merged, open: open)
            #expect(throws: DecodingError.self) { try DecimatedSeries(layout: layout) }
        }
        var series = try DecimatedSeries(layout: .init(stride: 1, nonFinite: 0, merged: 1, open: 0))
        for bad in [[], [0, 0, 0, 0], [0, 0, 0, 0, 0.5], [0, 0, 0, 0, .nan], [0, 0, 0, 0, -1]] as [[Double]] {
            var rows = bad[...]
            #expect(throws: DecodingError.self) { try series.fill(from: &rows) }
        }
    }

    @Test func anUnwritablePlaceIsFoundBeforeTraining() throws {
        let directory = try TemporaryDirectory()
        try "a file".write(toFile: directory("file"), atomically: false, encoding: .utf8)
        #expect(throws: LogFileError.self) { _ = try run(directory("file/report.html")) }
    }

    /// A report does not change a bit of a run.
    @Test func bitsStayTheSame() throws {
        let directory = try TemporaryDirectory()
        let bits = try [true, false].map { isReported in
            let module = SmallClassifier()
            let trainer = quietTrainer(maxEpochs: 2, precision: .mixedBFloat16) {
                if isReported { $0.callbacks = [RunReport(to: directory("report.html"))] }
            }
            try trainer.fit(module, train: DataLoader(Points(64), batchSize: 16))
            return module.bits
        }
        #expect(bits[0] == bits[1])
    }

    /// However long a curve is, its points are few, their mean is that of all values, and no extreme is lost.
    @Test(arguments: [1, 5, 1023, 1024, 1025, 100_003]) func curvesAreBounded(count: Int) {
        var series = DecimatedSeries()
        var sum = 0.0
        for index in 0..<count {
            let value = index == count / 3 ? 1000 : Double(index % 7)
            sum += value
            series.append(Double(index), value)
        }
        let points = series.points
        #expect(points.count <= DecimatedSeries.limit + 1)
        #expect(points.reduce(0) { $0 + $1.count } == count)
        let mean = points.reduce(0) { $0 + $1.mean * Double($1.count) }
        // Sums of small integers are exact; each mean is rounded once, each product once, and so are their sums.
        let ok = abs(mean - sum) <= 4 * 0x1p-53 * Double(points.count) * sum
        #expect(ok)
        #expect(points.map(\.high).max() == 1000 && zip(points, points.dropFirst()).allSatisfy { $0.x < $1.x })
    }

    @Test func nonFiniteValuesAreGaps() {
        var series = DecimatedSeries()
        for value in [1, .nan, 3, .infinity] { series.append(0, value) }
        #expect(series.nonFinite == 2 && series.points.map(\.count) == [1, 0, 1, 0])
        let curve = LineChart.Curve(name: "a<b", points: series.points, isMarked: false)
        let chart = LineChart(title: "x & y", curves: [curve]).html(id: 0)
        #expect(Elements("<a>" + chart + "</a>") != nil && !chart.contains("nan") && !chart.contains("inf"))
    }

    @Test func axesHaveRoundNumbers() {
        #expect(ChartAxis([0, 9.7]).ticks(5).map(\.label) == ["0", "2", "4", "6", "8"])
        #expect(ChartAxis([0.12, 0.31]).ticks(5).map(\.label) == ["0.15", "0.20", "0.25", "0.30"])
        #expect(ChartAxis([0, 54_000]).ticks(6).map(\.label) == ["0", "10k", "20k", "30k", "40k", "50k"])
        #expect(ChartAxis([1, 65536], scale: .log2).ticks(5).map(\.label) == ["1", "16", "256", "4096", "65536"])
        #expect(ChartAxis([0.002, 300], scale: .log10).ticks(5).map(\.label) == ["0.01", "0.1", "1", "10", "100"])
        #expect(ChartAxis([0.7, 11], scale: .log10).ticks(5).map(\.label) == ["1", "2", "5", "10"])
        #expect(ChartAxis([0.15, 0.9], scale: .log10).ticks(5).map(\.label) == ["0.2", "0.5"])
        for values in [[], [0], [3, 3], [.nan, .infinity], [-2, 5e-9]] as [[Double]] {
            let axis = ChartAxis(values)
            #expect(
                axis.range.lowerBound < axis.range.upperBound && axis.ticks(5).allSatisfy { axis.range ~= $0.value })
        }
    }

    @Test func chartsAreSharedByWhatTheyAreAbout() {
        for name in ["train_loss", "train_loss_epoch", "val_loss", "validation/loss", "test_loss_step", "loss"] {
            #expect(RunReportPage.subject(of: name) == "loss", "\(name)")
        }
        #expect(RunReportPage.subject(of: "val_accuracy") == "accuracy")
        #expect(RunReportPage.subject(of: "updates_lost") == "updates_lost")
    }
}

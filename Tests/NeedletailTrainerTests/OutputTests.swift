// What loggers, callbacks and the profiler write, as properties of all of them.
import Foundation
import Needletail
import NeedletailFiles
import Testing

@Suite struct OutputTests {
    /// Everything of the library that writes a file at a path that it is given.
    enum Writer: CaseIterable {
        case csv, continuedCSV, jsonLines, continuedJSONLines, runReport, numericsReport, trace, plot

        var isPage: Bool { [.runReport, .numericsReport, .trace, .plot].contains(self) }

        /// Adds one that writes to `path`.
        func add(_ path: String, to options: inout TrainerConfiguration) throws {
            let silent = Console(isTerminal: false) { _ in }
            switch self {
            case .csv: options.loggers.append(CSVLogger(path))
            case .continuedCSV: options.loggers.append(try CSVLogger(appendingTo: path))
            case .jsonLines: options.loggers.append(try JSONLinesLogger(path))
            case .continuedJSONLines: options.loggers.append(try JSONLinesLogger(appendingTo: path))
            case .runReport: options.callbacks.append(RunReport(to: path))
            case .numericsReport: options.callbacks.append(NumericsReport(every: 1, to: path, console: silent))
            case .trace: options.profiler = Profiler(trace: path, console: silent)
            case .plot: options.callbacks.append(LearningRateFinder(plot: path, appliesSuggestion: false))
            }
        }
    }

    /// Fits with the writers, and says how many steps there were.
    @discardableResult
    private func fit(_ writers: [(Writer, String)], steps: (Int) -> Void = { _ in }) throws -> Int {
        var options = TrainerConfiguration(maxEpochs: 1)
        (options.enableProgressBar, options.enableModelSummary, options.logEveryNSteps) = (false, false, 1)
        for (writer, path) in writers { try writer.add(path, to: &options) }
        let trainer = Trainer(options)
        defer { steps(trainer.state.globalStep) }
        try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
        return trainer.state.globalStep
    }

    private func kind(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
    }

    @Test(arguments: Writer.allCases) func aBadPathIsToldOfBeforeTheFirstStep(_ writer: Writer) throws {
        let directory = try TemporaryDirectory()
        try Data("mine".utf8).write(to: URL(fileURLWithPath: directory("file")))
        try FileManager.default.createDirectory(atPath: directory("folder"), withIntermediateDirectories: true)
        #expect(symlink("loop", directory("loop")) == 0 && mkfifo(directory("pipe"), 0o600) == 0)
        let good = Writer.allCases.filter { $0 != writer && ![.plot, .jsonLines].contains($0) }.map {
            ($0, directory("new/\($0)"))
        }
        let long = String(repeating: "n", count: 300)
        var places = ["file/in/it", "loop", "folder", "folder/", "pipe", long].map { directory($0) }
        places += ["/proc/needletail", "/dev/needletail", "/dev/null/x"] + (writer.isPage ? ["/dev/null"] : [])
        for place in places {
            var steps = 0
            let error = #expect(throws: LogFileError.self, "\(place)") {
                try fit(good + [(writer, place)]) { steps = $0 }
            }
            #expect(error?.path == place && error?.why.isEmpty == false && steps == 0, "\(place): \(error as Any)")
            #expect(text(directory("file")) == "mine" && kind(directory("pipe")) == S_IFIFO)
            #expect(directory.names().sorted() == ["file", "folder", "loop", "pipe"], "\(place): \(directory.names())")
            #expect(directory.names(in: "folder").isEmpty)
        }
    }

    /// A link stays and its target is written; missing folders are made.
    @Test(arguments: Writer.allCases) func linksStayAndFoldersAreMade(_ writer: Writer) throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory("else"), withIntermediateDirectories: true)
        #expect(symlink("else/file", directory("link")) == 0)
        for path in ["link", "link", "a/b/file"] {  // the second time there is a file
            #expect(try fit([(writer, directory(path))]) == 3)
            #expect(text(directory(path)).utf8.count > 20)
        }
        #expect(kind(directory("link")) == S_IFLNK && kind(directory("else/file")) == S_IFREG)
        #expect(directory.names(in: "else") == ["file"] && directory.names(in: "a/b") == ["file"])
    }

    @Test(arguments: Writer.allCases, Writer.allCases) func noFileHasTwoWriters(_ first: Writer, _ second: Writer)
        throws
    {
        guard first != .trace || second != .trace else { return }  // a trainer has one profiler
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let path = directory("file")
        #expect(symlink("file", directory("link")) == 0)
        for other in [path, directory("./file"), directory("link")] {
            let error = #expect(throws: LogFileError.self) { try fit([(first, path), (second, other)]) }
            #expect(error?.description.contains("would write the same file") == true, "\(error as Any)")
            #expect(kind(path) == 0)
        }
    }

    /// A run that does not begin leaves what was there.
    @Test(arguments: Writer.allCases) func aRunThatDoesNotBeginHarmsNoFile(_ writer: Writer) throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        let old = "epoch,step,loss\n0,1,2\n"
        try Data(old.utf8).write(to: URL(fileURLWithPath: directory("file")))
        #expect(throws: TrainerError.self) {
            var options = TrainerConfiguration(maxEpochs: 1)
            (options.enableProgressBar, options.enableModelSummary) = (false, false)
            try writer.add(directory("file"), to: &options)
            try Trainer(options).fit(SmallClassifier(), train: DataLoader(Points(3), batchSize: 4, dropLast: true))
        }
        #expect(text(directory("file")) == old)
    }

    /// A pipe has the columns of the first record; nothing is written that is no row of them.
    @Test func aTableInAPipeKeepsItsHeader() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        #expect(mkfifo(directory("pipe"), 0o600) == 0)
        let reader = open(directory("pipe"), O_RDONLY | O_NONBLOCK)
        defer { close(reader) }
        let logger = CSVLogger(directory("pipe"))
        for (step, names) in [["loss"], ["loss", "later"], ["later"], ["loss"]].enumerated() {
            try logger.log(MetricsRecord(event: .step, epoch: 0, step: step, values: names.map { ($0, 0.5) }))
        }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(reader, &bytes, bytes.count)
        #expect(
            String(decoding: bytes.prefix(count), as: UTF8.self) == "epoch,step,loss\n0,0,0.5\n0,1,0.5\n0,2,\n0,3,0.5\n"
        )
    }

    /// A full disk, here a limit of file sizes, leaves whole lines and whole records, whatever is written.
    @Test func whatDoesNotFitIsTakenBack() async throws {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            let directory = try TemporaryDirectory()
            try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
            let csv = CSVLogger(directory("csv")), lines = try JSONLinesLogger(directory("lines"))
            let records = try LogFile(directory("records"))
            var limit = rlimit(rlim_cur: 1000, rlim_max: 2000)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            func failure(_ body: (Int) throws -> Void) -> LogFileError? {
                for step in 0..<200 {
                    do { try body(step) } catch { return error as? LogFileError }
                }
                return nil
            }
            func record(_ step: Int) -> MetricsRecord {
                MetricsRecord(event: .step, epoch: 0, step: step, values: [("loss", 1 / 3), ("rate", 1 / 7)])
            }
            let failures = [
                failure { try csv.log(record($0)) }, failure { try lines.log(record($0)) },
                failure { _ in try records.append([UInt8](repeating: 9, count: 7)) },
            ]
            precondition(failures.allSatisfy { $0?.why == "File too large" }, "\(failures)")
            for (name, isLines) in [("csv", true), ("lines", true), ("records", false)] {
                let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: directory(name))))
                precondition(bytes.count > 900 && bytes.count <= 1000, "\(name): \(bytes.count)")
                precondition(isLines ? bytes.last == 0x0A : bytes.count % 7 == 0, name)
            }
            // Several lines at once: those that fit stay.
            let batch = try LogFile(directory("batch"))
            precondition(failure { _ in try batch.append(String(repeating: "line\n", count: 300)) } != nil)
            precondition(text(directory("batch")) == String(repeating: "line\n", count: 200))
        }
    }

    /// Where an output fails in the middle, what was trained is saved.
    @Test func trainingWhoseLogFailsIsSaved() throws {
        final class Failing: Logger {
            func log(_ record: MetricsRecord) throws { throw LogFileError(path: "log", why: "full") }
        }
        let directory = try TemporaryDirectory()
        let trainer = quietTrainer(maxEpochs: 1) {
            $0.logEveryNSteps = 1
            $0.loggers = [Failing()]
            $0.callbacks = [ModelCheckpoint(directory: directory("run"))]
        }
        let error = #expect(throws: LogFileError.self) {
            try trainer.fit(SmallClassifier(), train: DataLoader(Points(12), batchSize: 4))
        }
        #expect(try Checkpoint(directory("run/last")).state.globalStep == 1)
        #expect(error?.checkpoint == directory("run/last"))
        #expect(error?.description.hasSuffix("; saved \(directory("run/last"))") == true, "\(error as Any)")
    }

    /// Neither a stream without a reader nor one that was closed ends a program or gets what is not its own.
    @Test func theStandardConsoleNeverEndsAProgram() async throws {
        await #expect(processExitsWith: .success) {
            signal(SIGPIPE, SIG_DFL)
            var ends: [Int32] = [0, 0]
            precondition(pipe(&ends) == 0)
            close(ends[0])
            dup2(ends[1], STDOUT_FILENO)
            Console.standardOutput.write("nobody reads this\n")
            let full = open("/dev/full", O_WRONLY)
            dup2(full, STDOUT_FILENO)
            Console.standardOutput.write("this finds no place\n")
            close(STDOUT_FILENO)
            Console.standardOutput.write("this goes nowhere\n")
        }
    }
}

// `needletail bench trainer`: what the trainer adds to a loop written by hand.
import ArgumentParser
import Foundation
import Needletail
import NeedletailBench
import NeedletailFiles

struct BenchTrainerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trainer",
        abstract: "Measure what the trainer costs beside a loop written by hand.",
        discussion: """
            An epoch of the tutorial's model (784-128-256-10, Adam) in each way, by turns:

              bare loop    data loader, model, loss, backward, finite check, update, loss scale; nothing else
              barebones    Trainer with everything switched off
              all on       Trainer as train runs it: bar on a terminal, weights summary, CSV log every 50 steps, checkpoint

            All of them take the same steps on the same batches, and end with the same weights, which is checked.

              OMP_NUM_THREADS=1 needletail bench trainer --precision bf16-mixed,16-mixed
            """)

    @OptionGroup var data: DataOptions

    @Option(
        help: "Modes, with commas between.",
        transform: { text in
            try text.split(separator: ",").map { word in
                do { return try Precision(parsing: String(word)) } catch { throw ValidationError("\(error)") }
            }
        })
    var precision: [Precision] = [.mixedBFloat16, .mixedFloat16]

    @Option(help: "Images a batch.")
    var batchSize = 64

    @Option(help: "Epochs of each fit.")
    var epochs = 1

    @Option(help: "Repetitions of each way.")
    var rounds = Contest.defaultRounds

    @OptionGroup var threads: ThreadOptions

    func validate() throws {
        for (name, value, most) in [
            ("--batch-size", batchSize, Int(Int32.max)), ("--epochs", epochs, 1000), ("--rounds", rounds, 10_000),
        ] where !(1...most).contains(value) {
            throw ValidationError("\(name) is \(value), expected 1 to \(most)")
        }
    }

    func run() throws {
        try StandardOutput.requireOpen()
        threads.apply()
        let images = try ClassificationData(data.source, validation: 0, scaling: .standard, seed: 42).train
        let folder = try temporaryFolder()
        defer { try? FileSystem.removeTree(FilePath(folder)) }
        try StandardOutput.line(
            "\(images.count) images of \(data.source.name), batches of \(batchSize), \(epochs) epoch(s) a fit, "
                + "\(threadCount) thread(s), \(rounds) rounds; median ms a fit, spread, "
                + "what is added to the bare loop (medians of pairs): wall time, processor time")
        for precision in precision {
            // One model for all of them: where in memory its weights lie makes a difference of some percent.
            let model = try TrainingRun.model(for: images), ways = TrainingWay.allCases
            let failure = FirstFailure()
            let runs = ways.map { way in
                TrainingRun(
                    way, model, images, batchSize: batchSize, epochs: epochs, precision: precision, folder: folder,
                    failure: failure)
            }
            var contest = Contest(minimumSeconds: 0)
            contest.rounds = rounds
            let result = contest.run(
                runs.map { run in Contestant(run.way.rawValue, run: run.fit, sample: run.sample) },
                reference: { 0 })
            if let error = failure.error { throw error }
            try checkEqual(runs)
            for (index, way) in ways.enumerated() {
                let processor = zip(runs[index].processorSeconds, runs[0].processorSeconds).map { $0 / $1 }
                try StandardOutput.line(line(precision, way, result.seconds[index], result.seconds[0], processor))
            }
        }
    }

    /// A new folder for what the runs write.
    private func temporaryFolder() throws -> String {
        let place = ProcessSurroundings.variable("TMPDIR").flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        let folder = FilePath(place).appending(FilePath("needletail-\(getpid())"))
        do { try FileSystem.makeFolder(folder) } catch let error as FileError {
            throw CommandError.output("\(error); set TMPDIR to a folder that can be written to")
        }
        return folder.text
    }

    /// All ways must have come to the same weights: else they were not the same work.
    private func checkEqual(_ runs: [TrainingRun]) throws {
        for run in runs.dropFirst() {
            for (mine, theirs) in zip(run.trained, runs[0].trained) where mine.bytes != theirs.bytes {
                throw CommandError.data("\(run.way.rawValue): \(mine.name) is not what the bare loop made of it")
            }
        }
    }

    private func line(
        _ precision: Precision, _ way: TrainingWay, _ seconds: [Double], _ bare: [Double], _ processor: [Double]
    ) -> String {
        let times = seconds.sorted(), ratios = zip(seconds, bare).map { $0 / $1 }.sorted()
        func cell(_ value: Double, _ decimals: Int, _ width: Int) -> String {
            let text = value.formatted(decimals: decimals)
            return String(repeating: " ", count: max(0, width - text.count)) + text
        }
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        let quarter = times.count / 4
        return padded(precision.rawValue, 11) + padded(way.rawValue, 10) + cell(1e3 * times[times.count / 2], 2, 9)
            + " ±" + cell(500 * (times[times.count - 1 - quarter] - times[quarter]), 2, 6)
            + "  +" + cell(100 * (ratios[ratios.count / 2] - 1), 2, 6) + " %  +"
            + cell(100 * (processor.sorted()[processor.count / 2] - 1), 2, 6) + " %"
    }
}

/// How an epoch is run.
enum TrainingWay: String, CaseIterable {
    case bare = "bare loop"
    case barebones
    case all = "all on"
}

/// What has gone wrong in any of the ways, a signal for instance: none of them goes on then.
final class FirstFailure {
    var error: (any Error)?
}

/// One way to train, called again and again: each call is a fit that begins with the same weights.
final class TrainingRun {
    let way: TrainingWay
    let model: ImageClassifier
    /// The weights that the last fit has made.
    private(set) var trained: [(name: String, bytes: [UInt8])] = []
    private var lossSum = 0.0
    /// Processor seconds of each call, of all threads.
    private(set) var processorSeconds: [Double] = []
    private let failure: FirstFailure
    private let images: ImageDataset
    private let batchSize: Int, epochs: Int
    private let precision: Precision
    private let folder: String
    private let initial: [String: Tensor]

    init(
        _ way: TrainingWay, _ model: ImageClassifier, _ images: ImageDataset, batchSize: Int, epochs: Int,
        precision: Precision, folder: String, failure: FirstFailure
    ) {
        (self.way, self.model, self.images, self.batchSize, self.epochs) = (way, model, images, batchSize, epochs)
        (self.precision, self.folder, self.failure) = (precision, folder, failure)
        initial = Dictionary(
            uniqueKeysWithValues: model.stateDictionary().map { name, tensor in
                (name, Tensor(bytes: tensor.bytes, shape: tensor.shape, dtype: tensor.dtype))
            })
    }

    static func model(for images: ImageDataset) throws -> ImageClassifier {
        var generator = SeededGenerator(seed: 42)
        return try ImageClassifier(
            ClassifierConfiguration(
                data: "", images: .init(images), hidden: [128, 256], optimizer: OptimizerChoice(), learningRate: 1e-3,
                schedule: nil), using: &generator)
    }

    /// What is left to do after a fit and not timed: the weights are kept.
    func sample() -> Double {
        trained = model.stateDictionary().map { ($0, $1.bytes) }
        return lossSum
    }

    func fit() {
        guard failure.error == nil else { return }
        do {
            try model.load(stateDictionary: initial)
            let loader = DataLoader(images, batchSize: batchSize, shuffle: true, seed: 42)
            let start = clock()
            defer { processorSeconds.append(Double(clock() - start) / Double(CLOCKS_PER_SEC)) }
            switch way {
            case .bare: try bareLoop(loader)
            case .barebones: try trainer { $0.barebones = true }.fit(model, train: loader)
            case .all: try allOn().fit(model, train: loader)
            }
        } catch let error as RunInterrupted {  // what was saved goes with the folder
            failure.error = RunInterrupted(signal: error.signal, checkpoint: nil, globalStep: error.globalStep)
        } catch { failure.error = error }
    }

    /// What someone who has no trainer writes, and no more.
    private func bareLoop(_ loader: DataLoader) throws {
        let policy = PrecisionPolicy(precision)
        try policy.apply(to: model)
        loader.dtype = policy.compute
        let optimizer = Adam(model.parameters(), learningRate: 1e-3)
        var scaler = policy.needsLossScale ? try LossScaler(.dynamic()) : nil
        for epoch in 0..<epochs {
            var (total, count) = (0.0, 0)
            let batches = loader.batches(epoch: epoch)
            while let batch = try batches.next() {
                let loss = try crossEntropy(model.logits(batch), batch.targets)
                total += loss.item() * Double(batch.count)
                count += batch.count
                optimizer.zeroGradients()
                loss.backward(seed: Double(scaler?.scale ?? 1))
                let check = optimizer.checkGradients(gradientScale: Double(scaler?.unscaleFactor ?? 1))
                if check.isFinite { optimizer.step(check: check) }
                try scaler?.update(overflowed: !check.isFinite)
            }
            lossSum += total / Double(count)  // used: the mean loss is what such a loop prints
        }
    }

    private func trainer(_ configure: (inout TrainerConfiguration) -> Void) -> Trainer {
        Trainer(maxEpochs: epochs, precision: precision, configure)
    }

    /// As `needletail train` does it, with a terminal whose text goes nowhere.
    private func allOn() throws -> Trainer {
        let null = try LogFile("/dev/null", continues: true)
        let console = Console(isTerminal: true) { try? null.append($0) }
        let metrics = try MetricsFile(path: nil)
        return trainer {
            $0.handlesSignals = true
            $0.loggers = [CSVLogger(folder + "/metrics.csv")]
            $0.callbacks = [
                metrics, ProgressBar(console: console), ModelSummary(console: console),
                ModelCheckpoint(directory: folder + "/checkpoints") { $0.overwrite = true },
            ]
        }
    }
}

// `needletail train --checkpoint` in a folder that holds a run, as commands are repeated, interrupted, killed and run side by side.
import Foundation
import Needletail
import Testing

@Suite struct RunFolderCommandTests {
    private let quick = "train --quiet --hidden 8 --epochs 1 --threads 1"
    /// An epoch of minutes: it has begun, and is far from its first checkpoint.
    private let slow = "train --quiet --hidden 512,512 --batch-size 1 --validation 0 --threads 1 --epochs 9"

    private func run(_ arguments: String) throws -> Needletail {
        try Needletail(arguments.split(separator: " ").map(String.init))
    }

    /// Waits until a process holds the folder and trains.
    private func waitForStart(_ process: SpawnedNeedletail, _ folder: String) {
        #expect(
            process.wait { FileManager.default.fileExists(atPath: folder + "/.run.lock") && process.handles(SIGUSR1) },
            "\(process.complaint)")
    }

    /// The second is refused with what to do, and no output of the first is touched; the ways that it names work.
    @Test(arguments: ["train", "train --model gpt"]) func theSameCommandTwice(_ command: String) throws {
        let scratch = try Scratch()
        let text = try scratch.write(Array(String(repeating: "needletail swift ", count: 60).utf8), "text.txt")
        let model =
            command == "train"
            ? "--hidden 8" : "--data \(text) --layers 1 --heads 2 --width 8 --context 8 --limit-train-batches 4"
        let outputs =
            "--metrics \(scratch.path("m.jsonl")) --csv \(scratch.path("m.csv")) --report \(scratch.path("r.html")) "
            + "--numerics \(scratch.path("n.html")) --trace \(scratch.path("t.json"))"
        let all = "\(command) --quiet --epochs 1 --threads 1 \(model) \(outputs) --checkpoint \(scratch.path("run"))"
        _ = try Needletail.succeeds(all)
        let before = try scratch.files(below: "")
        #expect(before.count == 11)
        for folder in ["run", "run/", "./run/../run"] {
            let again = try run(all.replacingOccurrences(of: scratch.path("run"), with: scratch.path(folder)))
            #expect(again.status == 64 && again.complaints.count == 1, "\(again.status) \(again.complaint)")
            for part in ["--checkpoint", scratch.folder.path, "--resume last", "--overwrite", "last"] {
                #expect(again.complaint.contains(part), "\(again.complaint)")
            }
            #expect(try scratch.files(below: "") == before)
        }
        _ = try Needletail.succeeds("\(all) --resume last --epochs 2")
        #expect(try Checkpoint(scratch.path("run/last")).state.epoch == 2)
        _ = try Needletail.succeeds("\(all) --overwrite")
        #expect(try Checkpoint(scratch.path("run/last")).state.epoch == 1)
        for (name, bytes) in try scratch.files(below: "run/last") {
            #expect(bytes == before["run/last/" + name], "\(name)")
        }
        #expect(try run("\(command) \(model) --overwrite").status == 64, "without a folder")
    }

    /// A run that was interrupted or killed is not begun again over its checkpoint; before its first one there is nothing to lose.
    @Test(arguments: [SIGINT, SIGKILL]) func anEndedRunIsNotOverwritten(_ signal: Int32) throws {
        let scratch = try Scratch()
        let folder = scratch.path("run"), last = scratch.path("run/last")
        let arguments = "train --quiet --hidden 8 --threads 1 --epochs 1000000 --checkpoint \(folder)"
        let process = try SpawnedNeedletail(arguments)
        #expect(process.wait { (try? Checkpoint(last)) != nil }, "\(process.complaint)")
        process.send(signal)
        _ = process.wait()
        let before = try scratch.files(below: "run").filter { $0.key != ".run.lock" }
        let again = try run(arguments)
        #expect(again.status == 64 && again.complaint.contains("--resume last"), "\(again.complaint)")
        #expect(try scratch.files(below: "run").filter { $0.key != ".run.lock" } == before)
        let epochs = try Checkpoint(last).state.epoch + 1
        _ = try Needletail.succeeds("train --quiet --checkpoint \(folder) --resume last --epochs \(epochs) --threads 1")
        #expect(try Set(scratch.files(below: "run").keys.map { $0.prefix { $0 != "/" } }) == ["last", "run.json"])

        let early = try SpawnedNeedletail("\(slow) --checkpoint \(scratch.path("early"))")
        waitForStart(early, scratch.path("early"))
        early.send(SIGKILL)
        _ = early.wait()
        _ = try Needletail.succeeds("\(quick) --checkpoint \(scratch.path("early"))")
    }

    /// While one process trains, others are refused: new, resumed, and replacing ones; when it is killed they are not.
    @Test func twoProcessesInOneFolder() throws {
        let scratch = try Scratch()
        let folder = scratch.path("run")
        _ = try Needletail.succeeds("\(quick) --checkpoint \(folder)")
        let first = try SpawnedNeedletail(
            "train --quiet --threads 1 --epochs 1000000 --checkpoint \(folder) --resume last")
        let state = try Checkpoint(folder + "/last").state
        #expect(first.wait { (try? Checkpoint(folder + "/last").state) != state }, "\(first.complaint)")
        for rest in ["", "--resume last", "--overwrite"] {
            let metrics = try scratch.write([0x7B, 0x7D, 0x0A], "metrics")
            let second = try run("\(quick) --checkpoint \(folder) \(rest) --metrics \(metrics)")
            #expect(second.status == 64 && second.complaint.contains("another run writes to it"), "\(second.complaint)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: metrics)).count == 3)
        }
        first.send(SIGKILL)
        _ = first.wait()
        let epochs = try Checkpoint(folder + "/last").state.epoch + 1
        _ = try Needletail.succeeds("train --quiet --checkpoint \(folder) --resume last --epochs \(epochs)")
    }

    /// Killed before its first checkpoint, a run that replaces another has changed nothing.
    @Test func replacingIsNotDeleting() throws {
        let scratch = try Scratch()
        _ = try Needletail.succeeds("\(quick) --checkpoint \(scratch.path("run"))")
        let before = try scratch.files(below: "run")
        let process = try SpawnedNeedletail("\(slow) --checkpoint \(scratch.path("run")) --overwrite")
        waitForStart(process, scratch.path("run"))
        usleep(100_000)
        process.send(SIGKILL)
        #expect(process.wait().status == -SIGKILL)
        #expect(try scratch.files(below: "run").filter { $0.key != ".run.lock" } == before)
        _ = try Needletail.succeeds("evaluate \(scratch.path("run"))")
    }

    /// Where a folder holds several fits, every command means the newest, and says so.
    @Test func theNewestFitIsMeant() throws {
        let scratch = try Scratch()
        for (name, width) in [("run", 8), ("run/fit-2", 12), ("run/fit-10", 20)] {
            _ = try Needletail.succeeds(
                "train --quiet --hidden \(width) --epochs 1 --threads 1 --checkpoint \(scratch.path(name))")
        }
        try FileManager.default.createDirectory(atPath: scratch.path("run/fit-11"), withIntermediateDirectories: false)
        for command in ["inspect", "evaluate"] {
            let whole = try Needletail.succeeds("\(command) \(scratch.path("run"))")
            let newest = try Needletail.succeeds("\(command) \(scratch.path("run/fit-10"))")
            #expect(whole.output == newest.output && !whole.output.isEmpty)
            #expect(whole.complaints.count == 1 && whole.complaint.contains("fit-10") && newest.complaint.isEmpty)
        }
        let resumed = try Needletail.succeeds(
            "train --quiet --epochs 2 --checkpoint \(scratch.path("run")) --resume last")
        #expect(resumed.complaint.contains("fit-10"))
        #expect(try Checkpoint(scratch.path("run/fit-10/last")).state.epoch == 2)
        #expect(try Checkpoint(scratch.path("run/last")).state.epoch == 1)
    }

    /// A run that only looks for errors needs no folder and makes none.
    @Test func aDevelopmentRunMakesNoFolder() throws {
        let scratch = try Scratch()
        _ = try Needletail.succeeds("train --quiet --fast-dev-run 1 --checkpoint \(scratch.path("run"))")
        #expect(try scratch.files(below: "").isEmpty)
        #expect(!FileManager.default.fileExists(atPath: scratch.path("run")))
    }
}

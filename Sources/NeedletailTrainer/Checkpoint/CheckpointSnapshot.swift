// A moment of a run, and the thread that writes such moments while training goes on.
import Foundation
import NeedletailData
import NeedletailNN
import NeedletailTensor
import Synchronization

/// Everything that a checkpoint holds, not yet as bytes.
struct CheckpointSnapshot: Sendable {
    var content: CheckpointState
    var model: [(name: String, tensor: Tensor)]
    var optimizer: [(name: String, tensor: Tensor)]
    var callbacks: [(name: String, tensor: Tensor)]
    /// What callbacks have of the clock, by their keys: no part of the checkpoint.
    var clocks: [String: JSONValue] = [:]

    /// Bytes of all tensors.
    var byteCount: Int { (model + optimizer + callbacks).reduce(0) { $0 + $1.tensor.byteCount } }

    /// With copies of the tensors, which updates do not reach.
    func copied() -> CheckpointSnapshot {
        var copy = self
        copy.model = model.map { ($0.name, $0.tensor.copied()) }
        copy.optimizer = optimizer.map { ($0.name, $0.tensor.copied()) }
        copy.callbacks = callbacks.map { ($0.name, $0.tensor.copied()) }
        return copy
    }

    /// The files of its folder, and the checksum of state.json.
    func files() throws -> (files: [(name: String, bytes: [UInt8])], checksum: String) {
        var content = content
        var files: [(name: String, bytes: [UInt8])] = [
            (Checkpoint.modelFile, try SafeTensorsFile.encode(tensors: model)),
            (Checkpoint.optimizerFile, try SafeTensorsFile.encode(tensors: optimizer)),
        ]
        if !callbacks.isEmpty {
            files.append((Checkpoint.callbackFile, try SafeTensorsFile.encode(tensors: callbacks)))
        }
        for file in files {
            content.files[file.name] = .init(bytes: file.bytes.count, crc32: CRC32.text(file.bytes))
        }
        let state = try content.encoded()
        files.append((CheckpointState.fileName, state))  // last: it vouches for the others
        return (files, CheckpointState.checksum(of: state))
    }
}

/// Writes checkpoints in their order on a thread of its own: flushing files takes longer than a hundred steps.
///
/// What went wrong is thrown by the next call that can throw.
final class CheckpointWriter: Sendable {
    private struct State {
        var bytes = 0
        /// Where the run was when what is being written was taken.
        var moment: TrainerState?
        var failure: (any Error)?
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "needletail.checkpoint")
    /// Copies of so many bytes may wait; one may be larger.
    private static let most = 64 << 20

    /// Begins to write a copy of `snapshot` as `name`. Waits for those of earlier moments, so that what is on disk is never more
    /// than one behind.
    func write(_ snapshot: CheckpointSnapshot, in folder: RunFolder, as name: String) throws {
        let bytes = snapshot.byteCount
        let moment = snapshot.content.trainer
        if state.withLock({ $0.bytes > 0 && ($0.moment != moment || $0.bytes + bytes > Self.most) }) { wait() }
        try throwFailure()
        let copy = snapshot.copied()
        state.withLock {
            $0.bytes += bytes
            $0.moment = moment
        }
        begin { [self] in
            var failure: (any Error)?
            do { try folder.write(copy, as: name) } catch { failure = error }
            state.withLock {
                $0.bytes -= bytes
                if $0.failure == nil { $0.failure = failure }
            }
        }
    }

    /// Removes checkpoints after what is being written, if that went well.
    func remove(_ names: [String], in folder: RunFolder) {
        begin { [self] in
            guard state.withLock({ $0.failure == nil }) else { return }
            folder.remove(names)
        }
    }

    /// Waits until everything is written. Throws what went wrong since the last time.
    func finish() throws {
        wait()
        try throwFailure()
    }

    /// Waits until everything is written, or has failed.
    func wait() { queue.sync {} }

    /// Runs `work` after what was begun before: on another thread, or here where none can be had (libdispatch would wait for one).
    private func begin(_ work: @escaping @Sendable () -> Void) {
        if BackgroundThread.start("needletail.probe", {}) {
            queue.async(execute: work)
        } else {
            queue.sync(execute: work)
        }
    }

    private func throwFailure() throws {
        let failure = state.withLock { state in
            defer { state.failure = nil }
            return state.failure
        }
        if let failure { throw failure }
    }
}

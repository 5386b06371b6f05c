// The folders of a fit's checkpoints, from its beginning to its end.

extension Trainer {
    /// Takes the folders of all ``ModelCheckpoint``s for the fit that begins; throws ``CheckpointError`` where one holds another run.
    func takeFolders(resumedFrom checkpoint: String?) throws {
        let all = callbacks.compactMap { $0 as? ModelCheckpoint }
        var isGoingOn: Bool
        (identity, isGoingOn) = RunFolder.identity(goingOnFrom: checkpoint, in: all.map(\.directory))
        identity = all.lazy.compactMap(\.reserved?.identity).first ?? identity
        var places: [RunFolder] = []
        for callback in all {
            let shared = runFolders.first { $0.isOf(callback.directory) }
            if let shared { try CheckpointFolder.tryWriting(callback.names, in: shared.path) }
            let place =
                try shared ?? callback.takeReserved()
                ?? RunFolder(callback.request(identity, from: checkpoint, isGoingOn: isGoingOn, owners: owners))
            places.append(place)
            if shared == nil { runFolders.append(place) }
        }
        for (callback, place) in zip(all, places) { callback.use(place) }
        owners.insert(identity.owner)
    }

    /// Has `run.json` name the runs that trackers have made for this fit.
    func noteTrackers() {
        var trackers: [String: String] = [:]
        for logger in configuration.loggers {
            guard let id = logger.runID else { continue }
            let name = String(describing: type(of: logger))
            let key = (1...).lazy.map { $0 == 1 ? name : "\(name)#\($0)" }.first { trackers[$0] == nil }
            trackers[key ?? name] = id
        }
        for folder in runFolders { folder.note(trackers) }
    }

    /// Writes a checkpoint to a path that someone has given, and beside it what callbacks have of the clock.
    func write(_ snapshot: CheckpointSnapshot, to path: String) throws {
        let (parent, name) = CheckpointFolder.place(of: path)
        if let folder = runFolders.first(where: { $0.holds(path) }) { return try folder.write(snapshot, as: name) }
        let (files, checksum) = try snapshot.files()
        try CheckpointFolder.write(files, to: path)
        guard !snapshot.clocks.isEmpty else { return }
        let isThere = CheckpointFolder.names(in: parent).contains(RunRecord.fileName)
        let known = isThere ? RunRecord.read(in: parent) : RunRecord(identity, began: RunRecord.now)
        guard var record = known else { return }  // somebody else's file
        record.keep(snapshot.clocks, of: checksum, as: name)
        try record.write(in: parent)
    }

    /// Lets go of the folders when everything is written.
    func leaveFolders() {
        guard !runFolders.isEmpty else { return }
        checkpointWriter.wait()
        for folder in runFolders {
            if let failure = folder.end() { notice("run.json does not say when the fit has ended: \(failure)") }
        }
        runFolders = []
    }
}

// Where a run is: everything that counts.

/// The counters of a run. They are part of each checkpoint.
public struct TrainerState: Codable, Sendable, Equatable {
    /// The epoch that is running, from 0.
    public internal(set) var epoch = 0
    /// How many of its batches are done.
    public internal(set) var batchInEpoch = 0
    /// Applied steps. Only these move schedules.
    public internal(set) var globalStep = 0
    /// Steps that were skipped because a loss or gradient was not finite, counted for each optimizer.
    public internal(set) var skippedSteps = 0
    /// Accumulation windows in which no batch had a weight, or a loss of anything, counted for each optimizer.
    public internal(set) var emptyWindows = 0
    /// After how many of this epoch's batches validation ran last; nil where it has not.
    public internal(set) var validatedBatch: Int?
    /// Skipped steps in a row, for each optimizer; those for which the loss scale stood above its initial value do not count.
    public internal(set) var consecutiveSkips: [Int] = []
}

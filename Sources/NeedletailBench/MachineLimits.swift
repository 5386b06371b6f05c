// What the machine can do at best, measured in the run that is judged by it.
import Dispatch
import NeedletailTensor
import Synchronization

/// Peak and bandwidths for a number of threads that measure at the same time.
package struct MachineLimits: Sendable {
    package let threads: Int
    /// Float32 multiply-adds in registers, FLOP/s.
    package let peak: Double
    /// Bytes a second by level: the best of reading, copying and copying past the caches.
    package let bandwidth: [MemoryLevel: Double]
    /// Bytes a second of reading alone.
    package let reading: [MemoryLevel: Double]

    package init(
        threads: Int, peak: Double, bandwidth: [MemoryLevel: Double], reading: [MemoryLevel: Double] = [:]
    ) {
        self.threads = threads
        self.peak = peak
        self.bandwidth = bandwidth
        self.reading = reading
    }

    /// Measures, in the widest kernels that run here, in windows of `window` seconds of which the best counts.
    package static func measure(threads: Int, memory: MemoryHierarchy, window: Double) -> MachineLimits {
        let windows = 15
        func best(_ rate: () -> Double) -> Double { (0..<windows).reduce(0) { best, _ in max(best, rate()) } }
        let peak = best { sum(threads) { _ in KernelInfo.measurePeak(seconds: window) } }
        var bandwidth: [MemoryLevel: Double] = [:], reading: [MemoryLevel: Double] = [:]
        for level in MemoryLevel.allCases {
            let bytes =
                switch level {
                case .l2: memory.l2 / 2
                case .l3: max(memory.l2 * 2, memory.l3 / 4 / threads)
                case .memory: max(memory.l3 * 4, 64 << 20) / threads
                }
            let blocks = (0..<threads).map { _ in Tensor.ones([max(bytes / 1024, 1) * 256]) }
            let rates = MemoryPattern.allCases.map { pattern in
                best { sum(threads) { BenchmarkKernels.bandwidth(pattern, of: blocks[$0], seconds: window) } }
            }
            bandwidth[level] = rates.max()
            reading[level] = zip(MemoryPattern.allCases, rates).first { $0.0 == .read }?.1
        }
        return MachineLimits(threads: threads, peak: peak, bandwidth: bandwidth, reading: reading)
    }

    /// The sum of what threads measure at the same time.
    private static func sum(_ threads: Int, _ measure: @Sendable (Int) -> Double) -> Double {
        if threads == 1 { return measure(0) }
        let total = Mutex(0.0)
        DispatchQueue.concurrentPerform(iterations: threads) { thread in
            let rate = measure(thread)
            total.withLock { $0 += rate }
        }
        return total.withLock { $0 }
    }

    /// The share of the limit that binds: of the peak, or of the bandwidth of the level where the working set lies.
    ///
    /// Multiplications are judged by the limit of which they reach the larger share, the peak or the bandwidth of reading: those
    /// that memory binds read nearly all of their bytes. What is counted in bytes is judged by the best bandwidth.
    package func share(of work: Work, seconds: Double, level: MemoryLevel) -> (share: Double, limit: String) {
        guard work.unit == .gigaflops else {
            return (work.bytes / seconds / (bandwidth[level] ?? .infinity), level.rawValue)
        }
        let ofReading = work.bytes / seconds / (reading[level] ?? bandwidth[level] ?? .infinity)
        let ofPeak = work.operations / seconds / peak
        return ofPeak >= ofReading ? (ofPeak, "peak") : (ofReading, level.rawValue)
    }
}

/// What one call does.
package struct Work: Sendable, Equatable {
    /// Arithmetic: a multiply-add counts two, an elementary function one.
    package var operations: Double
    /// Bytes that must be read or written at least, each operand once a pass.
    package var bytes: Double
    /// Bytes of all that is touched.
    package var workingSet: Int
    /// What the rate counts.
    package var unit: RateUnit

    package init(operations: Double, bytes: Double, workingSet: Int, unit: RateUnit) {
        self.operations = operations
        self.bytes = bytes
        self.workingSet = workingSet
        self.unit = unit
    }

    /// The rate in billions of what the unit counts.
    package func rate(seconds: Double) -> Double {
        (unit == .gigaflops ? operations : bytes) / seconds / 1e9
    }
}

/// What a rate counts.
package enum RateUnit: String, Codable, Sendable {
    case gigaflops = "GFLOP/s"
    case gigabytes = "GB/s"
}

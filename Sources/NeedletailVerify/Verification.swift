// The whole verification: which checks run on which rows, in rounds of new random inputs.
import NeedletailTensor

/// Holds the kernels of this machine to what docs/numerics.md promises.
package struct Verification {
    /// What to verify, and for how long.
    package struct Options: Sendable {
        /// Inputs are drawn from it; round r draws from seed + r.
        package var seed: UInt64 = 1
        /// Rounds go on until so much time is over; one round in any case.
        package var minutes = 0.0
        /// The kernel rows; empty for all that can run here.
        package var rows: [String] = []

        package init() {}
    }

    private let options: Options
    private let rows: [String]

    /// - Throws: a message where a row is not one that can run here.
    package init(_ options: Options) throws(VerificationError) {
        self.options = options
        let supported = KernelInfo.rows.filter(\.supported).map(\.name)
        for row in options.rows where !supported.contains(row) {
            throw VerificationError(
                description: "--kernel is \(row), expected one that can run here: \(supported.joined(separator: ", "))")
        }
        rows = options.rows.isEmpty ? supported : options.rows
    }

    /// Random inputs are rounded and reduced by the best kernels; a row's scalar reference takes fewer patterns in one round.
    private static let strideOfReference: UInt32 = 7

    /// Runs all checks; `afterRound` is told of each round when it is over. The lines in the order of the checks.
    package func run(afterRound: (_ round: Int, _ seed: UInt64, _ violations: Int) -> Void) -> [VerificationLine] {
        let ledger = VerificationLedger()
        let end = ContinuousClock.now + .seconds(60 * options.minutes)
        var round = 0
        repeat {
            let seed = options.seed &+ UInt64(round)
            ledger.round = "seed \(seed)"
            runRound(ledger, seed: seed, round: round)
            round += 1
            afterRound(round, seed, ledger.lines.reduce(0) { $0 + $1.violations })
        } while ContinuousClock.now < end
        // By row, best first; within one in the order of the checks.
        let order = rows.flatMap { row in
            VerificationKernels.ProductWay.allCases.map { ProductKernel(row: row, way: $0).label }
        }
        return order.flatMap { row in ledger.lines.filter { $0.row == row } }
    }

    private func runRound(_ ledger: VerificationLedger, seed: UInt64, round: Int) {
        var generator = SeededGenerator(seed: seed, stream: 0x7665_7269_6679)
        let kernels = rows.flatMap { row in
            VerificationKernels.ProductWay.allCases.filter { VerificationKernels.has($0, row: row) }
                .map { ProductKernel(row: row, way: $0) }
        }
        let conversions = ConversionChecks(ledger: ledger)
        for row in rows {
            conversions.from16Bits(row: row)
            conversions.float64To16Bits(row: row)
            // All patterns in the first round, then nothing new; the reference takes another residue in each.
            let stride = row == "ref" ? Self.strideOfReference : 1
            if UInt32(round) < stride {
                conversions.float32To16Bits(row: row, stride: stride, offset: UInt32(round))
            }
        }
        let products = ProductChecks(ledger: ledger, kernels: kernels)
        products.random(90, &generator)
        products.integers(60, &generator)
        products.norms(&generator)
        products.wide(20, rows: rows, &generator)
        LossChecks(ledger: ledger).random(60, rows: rows, &generator)
        LayerChecks(ledger: ledger).random(24, rows: rows, &generator)
        let elementwise = ElementwiseChecks(ledger: ledger)
        elementwise.functions(100_000, rows: rows, &generator)
        elementwise.derivatives(20_000, rows: rows, &generator)
        elementwise.operations(20_000, rows: rows, &generator)
        elementwise.reductions(20, rows: rows, &generator)
        OptimizerChecks(ledger: ledger).steps(8, rows: rows, &generator)
        ThreadChecks(ledger: ledger, kernels: kernels).everyFamily(&generator)
    }
}

/// Why a verification cannot begin.
package struct VerificationError: Error, CustomStringConvertible {
    /// One line.
    package let description: String
}

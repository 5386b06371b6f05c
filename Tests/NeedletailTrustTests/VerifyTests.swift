// `needletail verify`: it passes on this machine, and what it judges by is right. That it finds faults was tried with kernels
// changed on purpose (docs/numerics.md).
import Foundation
import Needletail
import NeedletailVerify
import Testing

@Suite struct VerifyTests {
    /// The table of intervals gives what Swift's own conversions give, on both sides of each boundary.
    @Test func theRoundingTableIsThatOfTheLanguage() {
        for type in [DType.float16, .bfloat16] {
            let table = RoundingTable(type)
            #expect(table.starts.count == (type == .float16 ? 0x7C01 + 1024 : 0x7F81 + 128))
            for (start, result) in zip(table.starts, table.results) {
                for pattern in [start, start | 0x8000_0000, start > 0 ? start - 1 : 0] {
                    let value = Float(bitPattern: pattern)
                    let expected = type == .float16 ? Float16(value).bitPattern : BFloat16(value).bitPattern
                    if value.isNaN && type == .float16 { continue }  // Swift's float16 payloads are the CPU's
                    #expect(table.result(of: pattern) == expected, "\(type) of \(value)")
                }
                #expect(table.result(of: start) == result)
            }
        }
    }

    @Test func distancesToWhatRounds() {
        // bfloat16 around 1: neighbours 1 - 2^-8 and 1 + 2^-7.
        func distance(_ exact: Double, _ found: Double, _ type: DType = .bfloat16) -> Double {
            RoundingTable.distance(from: exact, toWhatRoundsTo: found, type)
        }
        #expect(distance(1, 1) == 0 && distance(1 + 0x1p-8, 1) == 0 && distance(1 - 0x1p-9, 1) == 0)
        #expect(distance(1 + 0x1p-7, 1) == 0x1p-8 && distance(0.5, 1) == 0.5 - 0x1p-9)
        #expect(distance(-1 - 0x1p-7, -1) == 0x1p-8 && distance(0x1p-135, 0) == 0 && distance(-0x1p-133, 0) == 0x1p-134)
        #expect(distance(65519, .infinity, .float16) == 1 && distance(65520, .infinity, .float16) == 0)
        #expect(distance(1, .nan).isNaN && distance(.nan, 1).isNaN && distance(.nan, .nan) == 0)
        #expect(distance(0.1, 0.1, .float32) == 0 && distance(1, 0.5, .float32) == 0.5)
    }

    /// A NaN is a violation and the worst of errors; errors are ranked in units of their limits.
    @Test func theLedgerKeepsTheWorst() throws {
        let ledger = VerificationLedger()
        ledger.round = "seed 9"
        for (error, limit, place) in [(1.0, 2.0, "a"), (3, 4, "b"), (1, 8, "c")] {
            ledger.record("r", "k", in: "ulps", Comparison(cases: 5, error: error, limit: limit)) { place }
        }
        var line = try #require(ledger.lines.first)
        #expect(line.cases == 15 && line.largest == 3 && line.place == "b" && line.violations == 0)
        ledger.record("r", "k", in: "ulps", Comparison(error: 5, limit: 4)) { "d" }
        ledger.record("r", "k", in: "ulps", Comparison(error: .nan, limit: 4)) { "e" }
        ledger.record("r", "k", in: "ulps", Comparison(error: 1e9, limit: 4)) { "f" }
        line = try #require(ledger.lines.first)
        #expect(line.violations == 3 && line.largest.isNaN && line.place == "e" && line.firstViolation == "seed 9, d")
        #expect(VerificationReport.line(line).contains("VIOLATED 3 times, first: seed 9, d"))
        #expect(VerificationReport.closing(ledger.lines, seconds: 1).contains("found a violation: r k"))
    }

    /// The command on this machine: every row that it has, no violation.
    @Test func everyPromiseIsKeptHere() throws {
        let process = try CommandProcess("verify --seed 3")
        #expect(process.wait() == 0, "\(process.complaint)\(process.output)")
        #expect(process.output.contains("every promise is kept"))
        for row in KernelInfo.rows where row.supported {
            for check in [
                "float32 to float16", "gemm bfloat16", "gemm float64", "nll gradient float16", "linear cross-entropy",
                "gelu derivative float64", "threads: gemm",
            ] {
                let isThere = process.output.split(separator: "\n").contains {
                    $0.hasPrefix(row.name + " ") && $0.contains(check)
                }
                #expect(isThere, "\(row.name) \(check)")
            }
        }
        // What is emulated where the CPU lacks it runs everywhere.
        #expect(process.output.contains("\nref chunked   gemm float16 "))
    }

    @Test func wrongArgumentsAreRefused() throws {
        for arguments in ["--kernel neon9", "--minutes -1", "--seed x"] {
            let process = try CommandProcess("verify \(arguments)")
            #expect(process.wait() == 64 && !process.complaint.isEmpty, "\(arguments)")
        }
    }
}

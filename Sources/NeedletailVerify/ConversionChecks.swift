// Conversions on every pattern: exact from 16 bits, to nearest even to 16 bits.
import Dispatch
import NeedletailTensor
import Synchronization

struct ConversionChecks {
    let ledger: VerificationLedger
    let tables = [RoundingTable(.float16), RoundingTable(.bfloat16)]

    /// Every `stride`-th of the 2^32 float32 patterns, from `offset` on, and every boundary.
    func float32To16Bits(row: String, stride: UInt32, offset: UInt32) {
        for table in tables {
            let pieces = 64
            let found = Mutex<(cases: Int, wrong: Int, first: (pattern: UInt32, got: UInt16, expected: UInt16)?)>(
                (0, 0, nil))
            DispatchQueue.concurrentPerform(iterations: pieces) { piece in
                VerificationKernels.onRow(row) {
                    let sweep = ConversionSweep(to: table.type)
                    let intervals = table.starts.count * piece / pieces..<table.starts.count * (piece + 1) / pieces
                    for interval in intervals {
                        let start = table.starts[interval]
                        let end = interval + 1 < table.starts.count ? table.starts[interval + 1] - 1 : 0x7FFF_FFFF
                        for sign: UInt32 in [0, 0x8000_0000] {
                            let expected = table.results[interval] | UInt16(sign >> 16)
                            // Both ends always, between them every stride-th from the offset on.
                            let first = start + (stride + offset % stride - start % stride) % stride
                            var runs: [(first: UInt32, last: UInt32, step: UInt32)] = [(start, end, 1)]
                            if stride > 1 {
                                runs = [(start, start, 1), (end, end, 1)]
                                if first <= end { runs.append((first, end, stride)) }
                            }
                            for run in runs {
                                let difference = sweep.firstDifference(
                                    from: run.first, through: run.last, step: run.step, sign: sign, expected: expected)
                                found.withLock {
                                    $0.cases += Int((run.last - run.first) / run.step) + 1
                                    guard let difference else { return }
                                    $0.wrong += 1
                                    if $0.first.map({ difference.pattern < $0.pattern }) ?? true {
                                        $0.first = (difference.pattern, difference.got, expected)
                                    }
                                }
                            }
                        }
                    }
                }
            }
            let (cases, wrong, first) = found.withLock { $0 }
            let comparison = Comparison(cases: cases, error: Double(wrong), limit: 0)
            ledger.record(row, "float32 to \(table.type), \(every(stride))", in: "wrong intervals", comparison) {
                first.map { "\(hex($0.pattern)) gives \(hex($0.got)), not \(hex($0.expected))" } ?? ""
            }
        }
    }

    private func every(_ stride: UInt32) -> String { stride == 1 ? "all 2^32" : "one of \(stride)" }

    /// Every boundary between two 16-bit values, and the float64 values just beside it: rounding twice, through float32, would
    /// take them for ties.
    func float64To16Bits(row: String) {
        for table in tables {
            let infinity = UInt16(table.type == .float16 ? 0x7C00 : 0x7F80)
            var values: [Double] = [], expected: [UInt16] = []
            for pattern in 1...infinity {
                let middle = RoundingTable.middle(below: pattern, of: table.type)
                let even = pattern & 1 == 0 ? pattern : pattern - 1
                for sign in [1.0, -1] {
                    let bit: UInt16 = sign < 0 ? 0x8000 : 0
                    values += [sign * middle.nextDown, sign * middle, sign * middle.nextUp]
                    expected += [pattern - 1 | bit, even | bit, pattern | bit]
                }
            }
            let x = Tensor(values)
            let got = words(VerificationKernels.onRow(row) { VerificationKernels.converted(x, to: table.type) })
            record(row, "float64 to \(table.type), boundaries", got, expected) { "\(values[$0])" }
        }
        // float64 to float32 is the CPU's own conversion elsewhere.
        var generator = SeededGenerator(seed: 5)
        let values = (0..<100_000).map { _ in Double(bitPattern: generator.next()) }.filter { !$0.isNaN }
        let x = Tensor(values)
        let got: [UInt32] = patterns(VerificationKernels.onRow(row) { VerificationKernels.converted(x, to: .float32) })
        record(row, "float64 to float32, random", got, values.map { Float($0).bitPattern }) { "\(values[$0])" }
    }

    /// All 65,536 patterns of each 16-bit type, to float32, float64 and the other one.
    func from16Bits(row: String) {
        let all = (0...UInt16.max).map { $0 }
        for table in tables {
            let type = table.type, other: DType = type == .float16 ? .bfloat16 : .float16
            let bytes = all.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
            let x = Tensor(bytes: bytes, shape: [all.count], dtype: type)
            let (single, double, narrow) = VerificationKernels.onRow(row) {
                (
                    VerificationKernels.converted(x, to: .float32), VerificationKernels.converted(x, to: .float64),
                    VerificationKernels.converted(x, to: other)
                )
            }
            let exact = all.map { exactly($0, type) }
            record(row, "\(type) to float32, all 2^16", patterns(single), exact) { hex(all[$0]) }
            // float32 to float64 is exact; of a NaN the bits move up.
            let wide = exact.map { bits -> UInt64 in
                let value = Float(bitPattern: bits)
                if !value.isNaN { return Double(value).bitPattern }
                return UInt64(bits & 0x8000_0000) << 32 | 0x7FF0_0000_0000_0000 | UInt64(bits & 0x7F_FFFF) << 29
            }
            record(row, "\(type) to float64, all 2^16", patterns(double), wide) { hex(all[$0]) }
            let otherTable = tables[other == .float16 ? 0 : 1]
            record(row, "\(type) to \(other), all 2^16", words(narrow), exact.map { otherTable.result(of: $0) }) {
                hex(all[$0])
            }
        }
    }

    /// The float32 pattern of the same number; a NaN becomes quiet.
    private func exactly(_ pattern: UInt16, _ type: DType) -> UInt32 {
        let sign = UInt32(pattern & 0x8000) << 16
        let magnitude = pattern & 0x7FFF
        let infinity: UInt16 = type == .float16 ? 0x7C00 : 0x7F80
        if magnitude > infinity {
            let fraction = UInt32(magnitude - infinity) << (type == .float16 ? 13 : 16)
            return sign | 0x7FC0_0000 | fraction
        }
        if magnitude == infinity { return sign | 0x7F80_0000 }
        return sign | Float(RoundingTable.value(magnitude, type)).bitPattern
    }

    private func record<Word: FixedWidthInteger & Sendable>(
        _ row: String, _ check: String, _ got: [Word], _ expected: [Word], at place: (Int) -> String
    ) {
        let wrong = got.indices.filter { got[$0] != expected[$0] }
        let comparison = Comparison(cases: got.count, error: Double(wrong.count), limit: 0)
        ledger.record(row, check, in: "wrong results", comparison) {
            wrong.first.map { "\(place($0)) gives \(hex(got[$0])), not \(hex(expected[$0]))" } ?? ""
        }
    }

    private func words(_ x: Tensor) -> [UInt16] { patterns(x) }

    private func patterns<Word: FixedWidthInteger>(_ x: Tensor) -> [Word] {
        let bytes = x.bytes, size = MemoryLayout<Word>.size
        return stride(from: 0, to: bytes.count, by: size).map { start in
            (0..<size).reduce(0) { $0 | Word(bytes[start + $1]) << Word(8 * $1) }
        }
    }
}

func hex(_ pattern: some FixedWidthInteger) -> String { "0x" + String(pattern, radix: 16, uppercase: true) }

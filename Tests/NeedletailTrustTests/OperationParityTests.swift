// Every operation against PyTorch, forward and backward, in float64, float32, float16 and bfloat16. Both engines read the same
// safetensors: the committed Fixtures/operations.safetensors, and with NEEDLETAIL_PARITY_FILE (make parity) another one, of
// random shapes and seeds. Tests/parity/operations.py makes both.
import Foundation
import Needletail
import Testing

/// Operations by their names in such a file.
protocol ParityTable: RawRepresentable<String>, CaseIterable {
    func apply(_ operands: [Tensor], _ indices: [Tensor], _ test: ParityCase) throws -> Tensor
}

@Suite struct OperationParityTests {
    /// |ours - PyTorch's float64| in units of the bound, the worst of each operation.
    ///
    /// With S, the sum of the magnitudes that a result is made of (|f| + Σ |∂f/∂x| |x|, from the file), n roundings at the
    /// unit u cost about n u S: n is 16 for a formula of some float32 steps, and the length of the longest sum. A 16-bit
    /// result is rounded once; operations put together from others (variance, gradients of broadcast operands) round in
    /// between, six times at most. In float64 PyTorch's own error comes on top, hence twice the bound.
    private func bound(_ type: DType, _ result: DType, terms: Int, _ scale: Double) -> Double {
        let steps = Double(16 + terms)
        switch (type, result) {
        case (.float64, _): return 2 * steps * 0x1p-53 * scale + 0x1p-1060
        case (.float16, .float16): return (steps * 0x1p-24 + 6 * 0x1p-11) * scale + 6 * 0x1p-25
        case (.bfloat16, .bfloat16): return (steps * 0x1p-24 + 6 * 0x1p-8) * scale + 0x1p-130
        default: return steps * 0x1p-24 * scale + 0x1p-140
        }
    }

    @Test func operationsFollowPyTorch() throws {
        let path = try #require(Bundle.module.url(forResource: "Fixtures/operations", withExtension: "safetensors"))
            .path
        let worst = try compare(path, ParityOperation.self)
        // Each operation in each type; a file that holds less proves less.
        #expect(worst.count == ParityOperation.allCases.count)
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["NEEDLETAIL_PARITY_FILE"] != nil, "make parity"))
    func operationsOfAnotherFileFollowPyTorch() throws {
        let path = try #require(ProcessInfo.processInfo.environment["NEEDLETAIL_PARITY_FILE"])
        for (operation, (ratio, place)) in try compare(path, ParityOperation.self).sorted(by: { $0.key < $1.key }) {
            print("PARITY \(operation): \((ratio * 1000).rounded() / 1000) of the bound at \(place)")
        }
    }

    func compare<Table: ParityTable>(_ path: String, _ table: Table.Type) throws -> [String: (Double, String)] {
        let (tensors, metadata) = try SafeTensorsFile.read(path)
        let text = try #require(metadata["cases"], "no cases in \(path)")
        let cases = try JSONDecoder().decode([ParityCase].self, from: Data(text.utf8))
        #expect(!cases.isEmpty)
        var worst: [String: (Double, String)] = [:]
        for (index, test) in cases.enumerated() {
            let name = "case \(index), \(test.op) \(test.type) \(test.options), seed \(metadata["seed"] ?? "?")"
            let operation = try #require(Table(rawValue: test.op), "\(name)")
            func tensor(_ suffix: String) throws -> Tensor {
                try #require(tensors["\(index).\(suffix)"], "\(name): no \(suffix)")
            }
            let operands = try (0..<test.operands).map { try tensor("in\($0)").trackingGradient() }
            let indices = try (0..<test.indices).map { try tensor("index\($0)") }
            let result = try operation.apply(operands, indices, test)
            #expect(operands.allSatisfy { $0.dtype.rawValue == test.type })
            let expected = try tensor("out")
            #expect(result.shape == expected.shape, "\(name): \(result.shape), expected \(expected.shape)")
            var results = [("out", result.detached(), expected, tensors["\(index).out.scale"])]
            if let dy = tensors["\(index).dy"] {
                let wide: DType = test.type == "float64" ? .float64 : .float32
                let sum = (result.cast(to: wide) * dy.cast(to: wide)).sum()
                let ours = gradients(of: sum, withRespectTo: operands)
                let twice = gradients(of: sum, withRespectTo: operands)
                #expect(ours.map(\.bytes) == twice.map(\.bytes), "\(name): other bits the second time")
                for (position, gradient) in ours.enumerated() {
                    results.append(
                        (
                            "grad\(position)", gradient, try tensor("grad\(position)"),
                            try tensor("grad\(position).scale")
                        ))
                }
            }
            let again = try operation.apply(operands, indices, test)
            #expect(again.bytes == result.bytes, "\(name): other bits the second time")
            for (what, ours, theirs, scale) in results {
                let got = ours.scalars(as: Double.self), values = theirs.scalars(as: Double.self)
                let scales = scale?.scalars(as: Double.self) ?? values.map { _ in 0 }
                #expect(got.count == values.count, "\(name) \(what)")
                for (position, (value, exact)) in zip(got, values).enumerated() {
                    let limit =
                        scale == nil ? 0 : bound(operands[0].dtype, ours.dtype, terms: test.terms, scales[position])
                    let isSame = value == exact || value.isNaN && exact.isNaN
                    let ratio = isSame ? 0 : abs(value - exact) / limit
                    #expect(
                        ratio <= 1,
                        "\(name) \(what) at \(position): \(value), PyTorch \(exact), bound \(limit)")
                    if ratio > worst[test.op]?.0 ?? -1 { worst[test.op] = (ratio, "\(name) \(what)") }
                }
                if got.isEmpty, worst[test.op] == nil { worst[test.op] = (0, name) }
            }
        }
        return worst
    }
}

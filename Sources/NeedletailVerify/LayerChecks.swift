// Linear layers with what is fused into their products: activations, their derivatives, and a whole cross-entropy.
import Foundation
import NeedletailTensor

/// Layers x Wᵀ + b on values for which every type holds x Wᵀ + b exactly: x in {-1, 0, 1}, W and b multiples of 1/8 up to 1,
/// eight inputs, so that |z| <= 9 in steps of 1/8: 7 bits.
struct LayerChecks {
    let ledger: VerificationLedger

    private static let types: [DType] = [.float32, .float16, .bfloat16, .float64]

    private struct Layer {
        let rows: Int, outputs: Int
        var inputs: Int { 8 }
        /// [rows, 8], [outputs, 8], [outputs], and the exact z [rows, outputs].
        let x: [Double], weight: [Double], bias: [Double], z: [Double]

        init(_ rows: Int, _ outputs: Int, _ generator: inout SeededGenerator) {
            (self.rows, self.outputs) = (rows, outputs)
            func draw(_ count: Int, _ most: Int, _ unit: Double) -> [Double] {
                (0..<count).map { _ in Double(generator.nextInteger(below: 2 * most + 1) - most) * unit }
            }
            let (x, weight, bias) = (draw(rows * 8, 1, 1), draw(outputs * 8, 8, 0.125), draw(outputs, 8, 0.125))
            z = (0..<rows * outputs).map { index in
                let (i, j) = (index / outputs, index % outputs)
                return (0..<8).reduce(bias[j]) { $0 + x[i * 8 + $1] * weight[j * 8 + $1] }
            }
            (self.x, self.weight, self.bias) = (x, weight, bias)
        }

        func tensors(_ type: DType) -> (x: Tensor, weight: Tensor, bias: Tensor) {
            func tensor(_ values: [Double], _ shape: [Int]) -> Tensor {
                VerificationKernels.converted(Tensor(values, shape: shape), to: type)
            }
            return (tensor(x, [rows, 8]), tensor(weight, [outputs, 8]), tensor(bias, [outputs]))
        }
    }

    func random(_ count: Int, rows kernelRows: [String], _ generator: inout SeededGenerator) {
        for index in 0..<count {
            let type = Self.types[index % 4]
            let rows = [1 + generator.nextInteger(below: 40), 513 + generator.nextInteger(below: 100)][index / 4 % 2]
            let outputs = [1 + generator.nextInteger(below: 90), 13, 300][index / 8 % 3]
            let layer = Layer(min(rows, 40), outputs, &generator), head = Layer(rows, outputs, &generator)
            let targets = (0..<rows).map { _ in Int64(generator.nextInteger(below: outputs)) }
            let incoming = (0..<layer.rows * 5).map { _ in Double(generator.nextInteger(below: 7) - 3) }
            let second = (0..<5 * outputs).map { _ in Double(generator.nextInteger(below: 9) - 4) * 0.125 }
            for row in kernelRows {
                activations(layer, type, row, incoming, second)
                crossEntropy(head, targets, type, row, index % 2 == 0 ? .withLoss : .inBackward)
            }
        }
    }

    // MARK: Activations

    /// gelu(z) within 3.5 ulps, 8 in float64; relu(z) exact. Behind the layer another one, whose product dH = dY W2 is exact
    /// (integers in steps of 1/8): dZ = dH f'(z), formed in the product's last pass, within 6 ulps of the magnitudes, as
    /// derivatives are. 16-bit results are roundings of what is within the bound.
    private func activations(_ layer: Layer, _ type: DType, _ row: String, _ incoming: [Double], _ second: [Double]) {
        let (x, weight, bias) = layer.tensors(type)
        let (rows, outputs) = (layer.rows, layer.outputs)
        func tensor(_ values: [Double], _ shape: [Int]) -> Tensor {
            VerificationKernels.converted(Tensor(values, shape: shape), to: type)
        }
        let dy = tensor(incoming, [rows, 5]), next = tensor(second, [5, outputs]), z = tensor(layer.z, [rows, outputs])
        let isWide = type == .float64
        let ulp = isWide ? 0x1p-52 : 0x1p-23, least = isWide ? 0x1p-1074 : 0x1p-149
        for activation in [Activation.relu, .gelu] {
            let (y, dz) = VerificationKernels.onRow(row) {
                let leaf = z.trackingGradient()
                let hidden = activation == .relu ? leaf.relu() : leaf.gelu()
                let result = (linear(hidden, weight: next) * dy).sum()
                return (
                    linear(x, weight: weight, bias: bias, activation: activation),
                    gradients(of: result, withRespectTo: [leaf])[0]
                )
            }
            let place = "[\(rows), \(outputs)]"
            compare(row, "linear, \(activation.rawValue) \(type)", y, place) { index in
                let z = layer.z[index]
                if activation == .relu { return (max(z, 0), 0) }
                let value = z * 0.5 * erfc(-z * 0.5.squareRoot())
                return (value, (isWide ? 8 : 3.5) * (ulp * abs(value) + least))
            }
            compare(row, "linear, \(activation.rawValue) backward \(type)", dz, place) { index in
                let (i, j) = (index / outputs, index % outputs), z = layer.z[index]
                let dh = (0..<5).reduce(0) { $0 + incoming[i * 5 + $1] * second[$1 * outputs + j] }
                if activation == .relu { return (z > 0 ? dh : 0, 0) }
                let parts = (0.5 * erfc(-z * 0.5.squareRoot()), z * exp(-0.5 * z * z) / (2 * Double.pi).squareRoot())
                return (dh * (parts.0 + parts.1), 6 * (ulp * abs(dh) * (abs(parts.0) + abs(parts.1)) + least))
            }
        }
    }

    // MARK: Cross-entropy

    /// Loss and gradients of the mean cross-entropy, whose logits are exact.
    ///
    /// A row's loss is within u (8 + log C + 2.5 |loss|), the mean within the mean of that and a rounding. A logit's gradient
    /// g = (p - [target]) / N is off by c (p + [target]) / N, c = 64 u for |log p| < 22 (the exponent's error, 8 + log C + 2.5 |log
    /// p|), and by one rounding to the type under a scale that keeps it normal, u16 (p + [target]) / N and 2^-36 of the largest;
    /// sums of n products add gamma_n, n terms; results are rounded once.
    private func crossEntropy(
        _ head: Layer, _ targets: [Int64], _ type: DType, _ row: String, _ timing: GradientTiming
    ) {
        let (rows, classes) = (head.rows, head.outputs)
        let (x, weight, bias) = head.tensors(type)
        let inputs = [x, weight, bias].map { $0.trackingGradient() }
        let found: [Tensor]? = VerificationKernels.onRow(row) {
            guard
                let loss = try? linearCrossEntropy(
                    inputs[0], weight: inputs[1], bias: inputs[2], Tensor(targets), gradients: timing)
            else { return nil }
            return [loss.detached()] + gradients(of: loss, withRespectTo: inputs)
        }
        guard let found else { fatalError("linearCrossEntropy: a target is not a class") }

        let u = type == .float64 ? 0x1p-52 : 0x1p-24
        let rounding: Double = type == .float16 ? 0x1p-11 : type == .bfloat16 ? 0x1p-8 : 0
        var losses: [Double] = [], lossBound = 0.0
        var g = [Double](repeating: 0, count: rows * classes), off = g
        for i in 0..<rows {
            let line = head.z[i * classes..<(i + 1) * classes], largest = line.max() ?? 0
            let logSum = largest + log(compensatedSum(line.lazy.map { exp($0 - largest) })), target = Int(targets[i])
            let own = logSum - head.z[i * classes + target]
            losses.append(own / Double(rows))
            lossBound += u * (8 + log(Double(classes)) + 2.5 * own) / Double(rows)
            for j in 0..<classes {
                let p = exp(head.z[i * classes + j] - logSum), minus = j == target ? 1.0 : 0
                g[i * classes + j] = (p - minus) / Double(rows)
                off[i * classes + j] =
                    ((64 * u + rounding) * (p + minus) + (rounding > 0 ? 0x1p-36 : 0)) / Double(rows)
            }
        }
        let label = "linear cross-entropy", place = "[\(rows), 8] to \(classes), \(timing.rawValue)"
        compare(row, "\(label) \(type)", found[0].reshape([1]), place) { _ in
            let loss = compensatedSum(losses)
            return (loss, 1.5 * lossBound + u * loss)
        }
        // Sums over `count` terms of g times factors, and of their errors.
        func sum(_ count: Int, _ at: (Int) -> Int, _ factor: (Int) -> Double) -> (value: Double, bound: Double) {
            var (value, bound, size) = (0.0, 0.0, 0.0)
            for term in 0..<count {
                let (index, factor) = (at(term), factor(term))
                value += g[index] * factor
                bound += off[index] * abs(factor)
                size += abs(g[index] * factor)
            }
            return (value, 1.01 * bound + Double(count + 8) * u * size + 0x1p-140)
        }
        compare(row, "\(label), dX \(type)", found[1], place) { index in
            sum(classes, { index / 8 * classes + $0 }, { head.weight[$0 * 8 + index % 8] })
        }
        compare(row, "\(label), dW \(type)", found[2], place) { index in
            sum(rows, { $0 * classes + index / 8 }, { head.x[$0 * 8 + index % 8] })
        }
        compare(row, "\(label), db \(type)", found[3], place) { index in
            sum(rows, { $0 * classes + index }, { _ in 1 })
        }
    }

    /// Records the worst result in units of its bound; where that is 0 it must be exact.
    private func compare(
        _ row: String, _ check: String, _ result: Tensor, _ description: String,
        expected: (Int) -> (value: Double, bound: Double)
    ) {
        let got = result.scalars(as: Double.self)
        var worst = Comparison(cases: got.count, error: 0, limit: 1), at = 0
        for index in got.indices {
            let (value, bound) = expected(index)
            let excess = RoundingTable.distance(from: value, toWhatRoundsTo: got[index], result.dtype)
            let comparison = Comparison(cases: got.count, error: excess == 0 ? 0 : excess / bound, limit: 1)
            if comparison.isWorse(than: worst) { (worst, at) = (comparison, index) }
        }
        ledger.record(row, check, in: "of the bound", worst) {
            "\(description) at \(at)"
                + (worst.isWithin ? "" : ": \(got[at]), expected \(expected(at).value) within \(expected(at).bound)")
        }
    }
}

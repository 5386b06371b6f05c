// Optimizers against PyTorch's: the same gradients, step by step (Fixtures/generate.py).
import Foundation
import NeedletailNN
import NeedletailOptim
import NeedletailTensor
import Testing

/// The tensors of a file in Fixtures.
func fixture(_ name: String) throws -> [String: Tensor] {
    let url = try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: "safetensors"))
    return try SafeTensorsFile.read(url.path).tensors
}

extension Parameter {
    /// Adds `values` to the gradient: that of sum(p values).
    func accumulate(gradient values: Tensor) { (value * values.cast(to: computeType)).sum().backward() }
}

/// Runs an optimizer over a fixture's gradients and compares the parameters with PyTorch's float32 and float64 runs.
///
/// Tolerance: |p - p64| <= 4 |torch32 - p64| + t 4 u (|p64| + lr): as near to the exact trajectory as PyTorch's own
/// float32 run up to a factor of 4 (another order of the same roundings), plus 4 roundings of the parameter and of a
/// step-sized quantity a step. u = 2^-24; for float64 parameters p64 is itself a rounded run, u = 2^-53 and there is no
/// first term, so the second one has a factor of 64 and the largest |p| so far, since the summands' roundings stay
/// after they cancel.
struct Trajectory {
    let name: String
    var type: DType = .float32
    /// The fixture that holds the case.
    var file = "trajectories"
    var gradients = "wild"
    var clipping: GradientClipping?
    /// The loss scale that gradients carry; a power of two changes no bit where nothing overflows.
    var scale: Float = 1

    func check(_ make: ([Parameter]) -> Optimizer) throws {
        let data = try fixture(file)
        func tensor(_ key: String) throws -> Tensor { try #require(data[key], "\(key)") }
        let parameters = try ["a", "b"].map { key in
            let parameter = Parameter(try tensor("start.\(key)").cast(to: type))
            parameter.name = key
            return parameter
        }
        let optimizer = make(parameters)
        let ofA = try tensor(gradients)
        let ofB = try tensor("of_b")
        let count = try tensor("\(name).a.f64").shape[0]
        let recorded = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 1500].prefix(count)
        var largest = [[Double](repeating: 0, count: 12), [Double](repeating: 0, count: 3)]

        for step in 1...(try #require(recorded.last)) {
            optimizer.zeroGradients()
            parameters[0].accumulate(gradient: Tensor(ofA[step - 1].scalars(as: Float.self).map { $0 * scale }))
            if step % 3 != 1 {
                parameters[1].accumulate(gradient: Tensor(ofB[step - 1].scalars(as: Float.self).map { $0 * scale }))
            }
            let check = optimizer.checkGradients(gradientScale: 1 / Double(scale))
            optimizer.step(check: check, clipping: clipping)

            for (index, parameter) in parameters.enumerated() {
                let values = parameter.master.scalars(as: Double.self)
                for (i, value) in values.enumerated() { largest[index][i] = max(largest[index][i], abs(value)) }
                guard let row = recorded.firstIndex(of: step) else { continue }
                let torch32 = try tensor("\(name).\(parameter.name).f32")[row].scalars(as: Double.self)
                let torch64 = try tensor("\(name).\(parameter.name).f64")[row].scalars(as: Double.self)
                for i in values.indices {
                    let error = abs(values[i] - torch64[i])
                    let tolerance =
                        type == .float64
                        ? Double(step) * 64 * 0x1p-53 * (largest[index][i] + optimizer.learningRate)
                        : 4 * abs(torch32[i] - torch64[i])
                            + Double(step) * 4 * 0x1p-24 * (abs(torch64[i]) + optimizer.learningRate)
                    let ok = torch32[i].isFinite || type == .float64 ? error <= tolerance : !values[i].isFinite
                    let place = "\(name) \(type), step \(step), \(parameter.name)[\(i)]"
                    #expect(
                        ok,
                        "\(place): got \(values[i]), float64 \(torch64[i]), PyTorch \(torch32[i]), tolerance \(tolerance)"
                    )
                }
            }
        }
    }
}

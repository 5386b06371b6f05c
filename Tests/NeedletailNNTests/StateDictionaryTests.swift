// Loading parameters by name: round trips, PyTorch's files, and refusals that change nothing.
import NeedletailNN
import NeedletailTensor
import Testing

/// The model of Fixtures/generate.py.
private final class Net: Module {
    let scale = Parameter(.zeros([5]))
    let layer1: Linear
    let blocks: [Linear]
    let net: Sequential

    init(seed: UInt64) {
        var g = SeededGenerator(seed: seed)
        layer1 = Linear(6, 5, activation: .relu, using: &g)
        blocks = [Linear(5, 5, using: &g), Linear(5, 5, bias: false, using: &g)]
        net = Sequential(Flatten(), Linear(5, 4, using: &g), GELU(), Dropout(0.5, using: &g), Linear(4, 3, using: &g))
    }

    func forward(_ x: Tensor) -> Tensor {
        net(blocks.reduce(layer1(x) * scale.value) { $0 + $1($0) })
    }
}

private final class Tied: Module {
    let encoder: Linear
    let decoder: Linear
    init(seed: UInt64) {
        var g = SeededGenerator(seed: seed)
        encoder = Linear(2, 2, using: &g)
        decoder = encoder
    }
}

@Suite struct StateDictionaryTests {
    @Test func aPyTorchStateDictionaryLoadsAndGivesItsOutput() throws {
        let file = try SafeTensorsFile.read(fixturePath("net"))
        let model = Net(seed: 1)
        model.evaluate()
        #expect(model.namedParameters().map(\.name).joined(separator: ",") == file.metadata["names"])
        var state: [String: Tensor] = [:]
        for (name, tensor) in file.tensors where name.hasPrefix("state.") { state[String(name.dropFirst(6))] = tensor }
        try model.load(stateDictionary: state)

        // Five layers of at most 6 + 1 summands each: a first-order bound of 5 * gamma_8 on values that are themselves
        // of order one (|y| < 4, every intermediate sum of magnitudes < 8): 5 * 8 * 8 u, u = 2^-24.
        let x = try #require(file.tensors["x"])
        let expected = try #require(file.tensors["y"])
        let y = withoutGradients { model.forward(x) }
        #expect(y.shape == expected.shape)
        for (got, want) in zip(y.scalars(as: Double.self), expected.scalars(as: Double.self)) {
            #expect(abs(got - want) <= 320 * 0x1p-24, "got \(got), expected \(want)")
        }
    }

    @Test func roundTripThroughAFile() throws {
        let (a, b) = (Net(seed: 1), Net(seed: 2))
        try withTemporaryFolder { folder in
            try SafeTensorsFile.write(a.stateDictionary(), to: folder + "/model.safetensors")
            try b.load(stateDictionary: SafeTensorsFile.read(folder + "/model.safetensors").tensors)
        }
        for (x, y) in zip(a.stateDictionary(), b.stateDictionary()) {
            #expect(x.name == y.name && x.tensor.bytes == y.tensor.bytes)
        }
    }

    @Test func everythingThatIsWrongIsListedAndNothingIsLoaded() throws {
        let model = Net(seed: 1)
        let before = model.stateDictionary().map(\.tensor.bytes)
        var state = Dictionary(uniqueKeysWithValues: Net(seed: 2).stateDictionary())
        state["layer1.weight"] = .zeros([6, 5])
        state["layer1.bias"] = .zeros([5], dtype: .int64)
        state["net.1.bias"] = nil
        state["scale"] = nil
        state["net.2.weight"] = .zeros([1])
        for strict in [true, false] {
            let error = try #require(
                #expect(throws: StateDictionaryError.self) { try model.load(stateDictionary: state, strict: strict) })
            #expect(error.missing == ["scale", "net.1.bias"])
            #expect(error.unexpected == ["net.2.weight"])
            #expect(
                error.problems == [
                    "'layer1.weight': found shape [6, 5], expected [5, 6]",
                    "'layer1.bias': found type int64, expected a floating-point type",
                ])
            #expect(error.description.contains("missing: scale, net.1.bias"))
            #expect(model.stateDictionary().map(\.tensor.bytes) == before)
        }
    }

    @Test func differingNamesAreReturnedWhereNotStrict() throws {
        let model = Net(seed: 1)
        let state: [String: Tensor] = ["scale": .ones([5], dtype: .float16), "other": .ones([1])]
        #expect(throws: StateDictionaryError.self) { try model.load(stateDictionary: state) }
        #expect(model.scale.master.scalars(as: Float.self) == [0, 0, 0, 0, 0])
        let (missing, unexpected) = try model.load(stateDictionary: state, strict: false)
        #expect(missing.count == 9 && unexpected == ["other"])
        #expect(model.scale.master.scalars(as: Float.self) == [1, 1, 1, 1, 1])
        #expect(model.scale.storageType == .float32)
    }

    @Test func sharedParametersMayBeGivenUnderAnyOfTheirNames() throws {
        let model = Tied(seed: 1)
        #expect(model.stateDictionary().map(\.name) == ["encoder.weight", "encoder.bias"])
        let weight = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
        let bias = Tensor([5, 6] as [Float])
        try model.load(stateDictionary: ["decoder.weight": weight, "decoder.bias": bias])
        #expect(model.encoder.weight.master.bytes == weight.bytes)
        // As PyTorch's state_dict() has it: under both names.
        try model.load(stateDictionary: [
            "encoder.weight": weight, "decoder.weight": weight, "encoder.bias": bias, "decoder.bias": bias,
        ])
        let error = try #require(
            #expect(throws: StateDictionaryError.self) {
                try model.load(stateDictionary: [
                    "encoder.weight": weight, "decoder.weight": .zeros([2, 2]), "encoder.bias": bias,
                ])
            })
        #expect(error.problems.count == 1 && error.missing.isEmpty)
    }

    @Test func randomStatesAreFoundAndPutBack() throws {
        let (a, b) = (Net(seed: 1), Net(seed: 2))
        #expect(a.randomStates().keys.sorted() == ["net.3"])
        let x = Tensor.ones([8, 6])
        _ = a.forward(x)
        try b.load(stateDictionary: Dictionary(uniqueKeysWithValues: a.stateDictionary()))
        try b.setRandomStates(a.randomStates())
        #expect(a.forward(x).bytes == b.forward(x).bytes)
        #expect(throws: StateDictionaryError.self) { try b.setRandomStates([:]) }
        #expect(throws: StateDictionaryError.self) {
            try b.setRandomStates(["net.3": SeededGenerator(seed: 1), "net.4": SeededGenerator(seed: 1)])
        }
    }
}

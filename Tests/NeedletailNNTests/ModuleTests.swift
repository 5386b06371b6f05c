// Reflection of parameters and modules, and their names.
import NeedletailNN
import NeedletailTensor
import Testing

private class Base: Module {
    let first: Linear
    var scale: Parameter?
    init(_ generator: inout SeededGenerator) { first = Linear(3, 2, using: &generator) }
}

private final class Net: Base {
    var blocks: [Linear]
    var mixed: [any Layer]
    var heads: [String: Linear]
    var maybe: Linear?
    var nothing: Linear?
    var nested: [[Linear?]]
    var weights: [Parameter]
    lazy var late = Flatten()
    let tied: Parameter
    let numbers = [Float](repeating: 0, count: 100)

    override init(_ g: inout SeededGenerator) {
        blocks = [Linear(2, 2, using: &g), Linear(2, 2, bias: false, using: &g)]
        mixed = [ReLU(), Linear(2, 1, using: &g)]
        heads = ["b": Linear(2, 1, bias: false, using: &g), "a": Linear(2, 1, bias: false, using: &g)]
        maybe = Linear(1, 1, bias: false, using: &g)
        nested = [[nil, Linear(1, 1, bias: false, using: &g)]]
        weights = [Parameter(.zeros([1])), Parameter(.zeros([2]))]
        tied = weights[0]
        super.init(&g)
    }
}

@Suite struct ModuleTests {
    private func makeNet() -> Net {
        var generator = SeededGenerator(seed: 1)
        return Net(&generator)
    }

    @Test func namesAreThoseOfPyTorch() {
        // A module's own parameters come first, then sub-modules' in order of declaration, the superclass's before all;
        // `tied` is `weights.0` and listed under its first name only.
        let net = makeNet()
        #expect(
            net.namedParameters().map(\.name) == [
                "weights.0", "weights.1", "first.weight", "first.bias", "blocks.0.weight", "blocks.0.bias",
                "blocks.1.weight", "mixed.1.weight", "mixed.1.bias", "heads.a.weight", "heads.b.weight",
                "maybe.weight", "nested.0.1.weight",
            ])
        #expect(net.first.weight.shape == [2, 3])
    }

    @Test func modulesAreListedOnceParentsFirst() {
        let net = makeNet()
        _ = net.late
        #expect(
            net.namedModules().map(\.name) == [
                "", "first", "blocks.0", "blocks.1", "mixed.0", "mixed.1", "heads.a", "heads.b", "maybe", "nested.0.1",
                "late",
            ])
        net.blocks[1] = net.blocks[0]
        #expect(!net.namedModules().contains { $0.name == "blocks.1" })
        #expect(net.parameterAliases().contains { $0.name == "blocks.1.bias" })
    }

    @Test func replacedPropertiesAreSeen() {
        let net = makeNet()
        let count = net.parameters().count
        net.maybe = nil
        net.scale = Parameter(.ones([4]))
        #expect(net.parameters().count == count)
        #expect(net.namedParameters().first?.name == "scale")
    }

    /// Names are written by the call that says so, the last one's, and by nothing that reads.
    @Test func namesAreWrittenWhereAskedForOnly() {
        let net = makeNet()
        func readEverything() {
            for module in [net, net.first] {
                _ = (module.namedParameters(), module.parameters(), module.namedBuffers(), module.namedModules())
                _ = (module.stateDictionary(), module.mergedStateDictionary(), module.randomStates(), module.isFrozen)
            }
        }
        readEverything()
        #expect(net.parameters().allSatisfy { $0.name.isEmpty })
        net.nameParameters()
        readEverything()
        #expect(net.namedParameters().allSatisfy { $0.parameter.name == $0.name })
        net.first.nameParameters()
        #expect(net.first.weight.name == "weight" && net.blocks[1].weight.name == "blocks.1.weight")
    }

    @Test func trainAndEvaluateReachEveryModule() {
        let net = makeNet()
        #expect(net.namedModules().allSatisfy { $0.module.isTraining })
        net.evaluate()
        #expect(net.namedModules().allSatisfy { !$0.module.isTraining })
        net.train()
        #expect(net.namedModules().allSatisfy { $0.module.isTraining })
    }
}

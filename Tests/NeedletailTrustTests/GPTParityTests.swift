// A GPT-2 of transformers (Fixtures/gpt2, made by Fixtures/gpt2.py): its weights load, and logits, gradients, generation and training
// follow.
import Foundation
import Needletail
import Testing

/// Trains on the fixture's batches in their order.
private final class FixtureModel: TrainingModule {
    let gpt: GPT
    private(set) var losses: [Double] = []

    init(_ gpt: GPT) { self.gpt = gpt }

    override func members() -> [ModuleMember] { gpt.members() }

    override func trainingStep(_ batch: Batch, _ index: Int) throws -> Tensor {
        try gpt.loss(batch.inputs, targets: batch.targets)
    }

    override func onTrainBatchEnd(_ result: StepResult, _ batch: Batch, _ index: Int) { losses.append(result.loss) }

    override func configureOptimizers() -> [Optimizer] {
        let groups = gpt.decayGroups()
        var options = AdamOptions(weightDecay: 0.1)
        (options.learningRate, options.beta2) = (1e-3, 0.99)
        var plain = options
        plain.weightDecay = 0
        return [AdamW(groups: [ParameterGroup(groups.decayed, options), ParameterGroup(groups.others, plain)])]
    }
}

private struct FixtureBatches: Dataset {
    let rows: Tensor  // [count, 33] int64
    var count: Int { rows.shape[0] }

    func batch(_ indices: [Int], dtype: DType) throws -> Batch {
        let part = Tensor.stack(indices.map { rows[$0] })
        return Batch(
            inputs: part.slice(axis: 1, 0..<32).contiguous(), targets: part.slice(axis: 1, 1..<33).contiguous())
    }
}

@Suite struct GPTParityTests {
    private func folder() throws -> String {
        try #require(Bundle.module.url(forResource: "Fixtures/gpt2", withExtension: nil)).path
    }

    private func expected() throws -> [String: Tensor] {
        try SafeTensorsFile.read(folder() + "/expected.safetensors").tensors
    }

    /// With S = |f| + Σ |∂f/∂θ| |θ| from the file and u of the arithmetic, n roundings on the way cost about n u S: the longest
    /// sum has 128 terms, and 8 layers of sums of 32 and 128 terms follow one another: n = 16 + 128. In bf16 each of the 2 x 8
    /// results on the way is rounded once more, at most at 2⁻⁸ each: 16 · 2⁻⁸.
    @Test(arguments: [DType.float64, .float32, .bfloat16]) func logitsAgreeWithTransformers(_ dtype: DType) throws {
        let expected = try expected(), gpt = try GPT(huggingFace: folder())
        for parameter in gpt.parameters() { parameter.setTypes(storage: .float32, compute: dtype) }
        if dtype == .float64 {
            for parameter in gpt.parameters() { parameter.setTypes(storage: .float64, compute: .float64) }
        }
        let logits = withoutGradients { gpt.logits(gpt(expected["tokens"]!)) }
        #expect(logits.dtype == dtype && logits.shape == [2, 24, 65])
        let values: [Double] = logits.scalars()
        let exact: [Double] = expected["logits"]!.scalars(), scales: [Double] = expected["logits.scale"]!.scalars()
        var worst = 0.0
        for (index, place) in expected["logits.places"]!.scalars(as: Int64.self).enumerated() {
            let u = dtype == .float64 ? 0x1p-53 : 0x1p-24
            let bound = (144 * u + (dtype == .bfloat16 ? 16 * 0x1p-8 : 0)) * scales[index]
            let error = abs(values[Int(place)] - exact[index])
            #expect(error <= bound, "\(dtype) logit \(place): \(values[Int(place)]), transformers \(exact[index])")
            worst = max(worst, error / bound)
        }
        #expect(worst > 0)
    }

    /// In float64: sums of some thousand terms, whose cancellation is below 10³ here: 10³ · 10³ · 2⁻⁵³ = 10⁻¹⁰ of the largest.
    @Test func gradientsAgreeWithPyTorch() throws {
        let expected = try expected(), gpt = try GPT(huggingFace: folder())
        for parameter in gpt.parameters() { parameter.setTypes(storage: .float64, compute: .float64) }
        func gradients(recomputing: Bool) throws -> [String: Tensor] {
            gpt.recomputesActivations = recomputing
            for parameter in gpt.parameters() { parameter.zeroGradient() }
            let tokens = expected["tokens"]!
            let loss = try gpt.loss(
                tokens.slice(axis: 1, 0..<23).contiguous(), targets: tokens.slice(axis: 1, 1..<24).contiguous())
            let exact = expected["loss"]!.item()
            #expect(abs(loss.item() - exact) <= 1e-12 * exact)
            loss.backward()
            return Dictionary(uniqueKeysWithValues: gpt.namedParameters().map { ($0.name, $0.parameter.gradient!) })
        }
        let found = try gradients(recomputing: false)
        for (name, gradient) in found {
            var exact = try #require(expected["gradient.transformer." + name], "\(name)")
            if name.contains(".c_") && exact.rank == 2 { exact = exact.transposed().contiguous() }
            let largest = exact.abs().max().item()
            #expect(gradient.shape == exact.shape)
            let error = (gradient - exact).abs().max().item()
            #expect(error <= 1e-10 * largest, "\(name): off by \(error) of \(largest)")
        }
        // Activation checkpointing changes no bit of a parameter that is used once.
        let again = try gradients(recomputing: true)
        for (name, gradient) in found where name != "wte.weight" {
            #expect(again[name]!.bytes == gradient.bytes, "\(name): other bits with recomputed activations")
        }
    }

    @Test func generationFollowsTransformers() throws {
        let expected = try expected(), gpt = try GPT(huggingFace: folder())
        let prompt = expected["tokens"]![0].scalars(as: Int64.self).prefix(8).map { Int($0) }
        let greedy = expected["greedy"]!.scalars(as: Int64.self).map { Int($0) }
        var options = SamplingOptions(), generator = SeededGenerator(seed: 1)
        options.temperature = 0
        var found: [Int] = []
        gpt.generate(after: prompt, count: 20, options: options, using: &generator) { token in
            found.append(token)
            return true
        }
        #expect(found == greedy)
    }

    /// Token by token with a cache as all at once, the arithmetic of one row being independent of the others but for the order
    /// of sums: within the bound of `logitsAgreeWithTransformers`, whose S is below 4,000 here.
    @Test(arguments: [GPTConfiguration.Positions.learned, .rotary]) func theCacheChangesNothing(
        _ positions: GPTConfiguration.Positions
    ) throws {
        var configuration = GPTConfiguration(vocabulary: 11, context: 16, layers: 2, heads: 4, width: 32)
        (configuration.keyHeads, configuration.positions) = (2, positions)
        (configuration.norm, configuration.feedForward) = positions == .rotary ? (.rms, .swiGLU) : (.layer, .gelu)
        var generator = SeededGenerator(seed: 3)
        let gpt = GPT(configuration, using: &generator)
        let tokens = Tensor((0..<16).map { Int64($0 * 7 % 11) }, shape: [1, 16])
        withoutGradients {
            let whole: [Float] = gpt.logits(gpt(tokens)).scalars()
            let caches = gpt.blocks.map { _ in KeyValueCache(capacity: 16) }
            var parts: [Float] = []
            for range in [0..<6, 6..<7, 7..<8, 8..<13, 13..<16] {
                parts += gpt.logits(gpt.forward(tokens.slice(axis: 1, range), caches: caches)).scalars(as: Float.self)
            }
            let worst = zip(whole, parts).map { abs($0 - $1) }.max() ?? 0
            #expect(worst <= 144 * 0x1p-24 * 4)  // logits are about 1: S is some units
            #expect(whole.count == parts.count)
        }
    }

    /// Means of 40 steps within 3% of PyTorch's in float32, 5% in 16 bit; in float64 every step within 10⁻⁷: errors of 10⁻¹⁵ grow
    /// by some powers of ten in 120 steps.
    @Test(arguments: [
        (Precision.float64, 1e-7, 1), (.float32, 0.03, 40), (.mixedBFloat16, 0.05, 40), (.mixedFloat16, 0.05, 40),
    ]) func lossesFollowPyTorch(_ precision: Precision, _ tolerance: Double, _ window: Int) throws {
        let expected = try expected()
        let module = FixtureModel(try GPT(huggingFace: folder()))
        let rows = expected["batches"]!.cast(to: .int64).reshape([480, 33])
        let trainer = Trainer(maxEpochs: 1, precision: precision) {
            $0.gradientClip = .norm(1)
            $0.enableProgressBar = false
            $0.enableModelSummary = false
            $0.lossScale = .dynamic(initial: 1024)
        }
        try trainer.fit(module, train: DataLoader(FixtureBatches(rows: rows), batchSize: 4))
        let exact: [Double] = expected["losses"]!.scalars()
        #expect(module.losses.count == exact.count && trainer.state.skippedSteps == 0)
        for start in stride(from: 0, to: exact.count, by: window) {
            let ours = module.losses[start..<start + window].reduce(0, +) / Double(window)
            let theirs = exact[start..<start + window].reduce(0, +) / Double(window)
            #expect(
                abs(ours - theirs) <= tolerance * theirs, "\(precision) from step \(start): \(ours), PyTorch \(theirs)")
        }
        // It has learned: the text is random at first.
        #expect(module.losses.suffix(20).reduce(0, +) / 20 < 0.8 * exact[0])
    }

    @Test func adaptersTrainAndMerge() throws {
        let gpt = try GPT(huggingFace: folder()), expected = try expected()
        var generator = SeededGenerator(seed: 5)
        let before = withoutGradients { gpt(expected["tokens"]!).bytes }
        #expect(try gpt.addLowRankAdapters(to: ["h.*.attn.c_attn"], rank: 4, alpha: 8, using: &generator) == 2)
        #expect(withoutGradients { gpt(expected["tokens"]!).bytes } == before, "B is zero at first")
        let trained = gpt.parameters().filter(\.requiresGradient)
        #expect(trained.count == 4 && trained.map { $0.shape.reduce(1, *) }.reduce(0, +) == 2 * 4 * (32 + 96))
        let frozen = gpt.blocks[0].attention.projection.weight.master.bytes
        let optimizer = AdamW(trained, learningRate: 1e-2)
        let tokens = expected["tokens"]!
        var losses: [Double] = []
        for _ in 0..<20 {
            optimizer.zeroGradients()
            let loss = try gpt.loss(
                tokens.slice(axis: 1, 0..<23).contiguous(), targets: tokens.slice(axis: 1, 1..<24).contiguous())
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
        }
        #expect(losses[19] < 0.95 * losses[0])
        #expect(gpt.blocks[0].attention.projection.weight.master.bytes == frozen)
        let adapted: [Float] = withoutGradients { gpt.logits(gpt(tokens)).scalars() }
        let exported = gpt.huggingFaceStateDictionary()
        #expect(try gpt.mergeLowRankAdapters() == 2)
        let merged: [Float] = withoutGradients { gpt.logits(gpt(tokens)).scalars() }
        let fresh = try GPT(huggingFace: folder())
        try fresh.load(huggingFace: Dictionary(uniqueKeysWithValues: exported))
        #expect(withoutGradients { fresh.logits(fresh(tokens)).scalars(as: Float.self) } == merged)
        // The same sums in another order: as above, S is below 4,000, times 2⁻²⁴.
        let worst = zip(adapted, merged).map { abs($0 - $1) }.max() ?? 1
        #expect(worst > 0 && worst <= 144 * 0x1p-24 * 4000)
    }

    @Test func otherFoldersAreRefused() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "needletail-gpt-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: path) }
        for text in [
            "", "{}", #"{"model_type": "llama", "vocab_size": 5, "n_layer": 1, "n_head": 1, "n_embd": 4}"#,
            #"{"model_type": "gpt2", "vocab_size": 5, "n_layer": 1, "n_head": 3, "n_embd": 4}"#,
            #"{"model_type": "gpt2", "vocab_size": -5, "n_layer": 1, "n_head": 1, "n_embd": 4}"#,
            #"{"model_type": "gpt2", "vocab_size": 5, "n_layer": 1, "n_head": 1, "n_embd": 4, "activation_function": "silu"}"#,
        ] {
            try Data(text.utf8).write(to: path)
            #expect(throws: GPTFormatError.self) { try GPTConfiguration(huggingFace: path.path) }
        }
    }

    @Test func samplingTakesTheLikeliest() {
        var options = SamplingOptions(), generator = SeededGenerator(seed: 1)
        let logits: [Float] = [0, 3, 1, 3, -.infinity, 2]
        options.temperature = 0
        #expect(options.draw(logits, using: &generator) == 1)
        options.temperature = 1
        func drawn() -> Set<Int> { Set((0..<400).map { _ in options.draw(logits, using: &generator) }) }
        #expect(drawn() == [0, 1, 2, 3, 5])
        options.topK = 3
        #expect(drawn() == [1, 3, 5])
        options.topK = nil
        options.topP = 0.7  // the two likeliest have 0.39 each
        #expect(drawn() == [1, 3])
        options.topP = 1e-9
        #expect(drawn() == [1])
    }
}

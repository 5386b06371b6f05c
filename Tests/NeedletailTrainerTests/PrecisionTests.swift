import Needletail
import Testing

@Suite struct PrecisionTests {
    @Test func parsesLightningsStringsAndAliasesOnly() throws {
        let table: [(String, Precision)] = [
            ("64-true", .float64), ("32-true", .float32), ("bf16-mixed", .mixedBFloat16), ("16-mixed", .mixedFloat16),
            ("bf16-true", .bfloat16), ("16-true", .float16), ("64", .float64), ("32", .float32), ("16", .mixedFloat16),
            ("bf16", .mixedBFloat16),
        ]
        for (text, precision) in table { #expect(try Precision(parsing: text) == precision, "\(text)") }
        #expect(table.map(\.0) == Precision.allowedNames)
        for text in ["", "auto", "8", "fp16", "BF16", "16-mixed ", "float16", "transformer-engine"] {
            #expect(throws: PrecisionError.unknown(text, allowed: Precision.allowedNames)) {
                try Precision(parsing: text)
            }
        }
        #expect(
            "\(PrecisionError.unknown("auto", allowed: Precision.allowedNames))" == """
                precision 'auto' is not known; allowed are 64-true, 32-true, bf16-mixed, 16-mixed, bf16-true, 16-true, \
                64, 32, 16, bf16
                """)
    }

    /// `auto` is a choice, not a mode: allowed where the trainer chooses, and listed there.
    @Test func autoIsAllowedWhereTheTrainerChooses() throws {
        #expect(try PrecisionChoice(parsing: "auto") == .auto)
        for name in Precision.allowedNames {
            #expect(try PrecisionChoice(parsing: name) == .mode(Precision(parsing: name)), "\(name)")
        }
        #expect(PrecisionChoice.allowedNames == Precision.allowedNames + ["auto"])
        #expect("\(PrecisionChoice.auto) \(PrecisionChoice.mode(.mixedFloat16))" == "auto 16-mixed")
        for text in ["", "AUTO", "fp8"] {
            let error = #expect(throws: PrecisionError.self) { try PrecisionChoice(parsing: text) }
            #expect(
                error?.description == """
                    precision '\(text)' is not known; allowed are 64-true, 32-true, bf16-mixed, 16-mixed, bf16-true, \
                    16-true, 64, 32, 16, bf16, auto
                    """)
        }
    }

    /// The table of the modes: master, activations, loss, whether the loss is scaled.
    @Test func policyOfEachMode() throws {
        let table: [(Precision, DType, DType, DType, Bool)] = [
            (.float64, .float64, .float64, .float64, false), (.float32, .float32, .float32, .float32, false),
            (.mixedBFloat16, .float32, .bfloat16, .float32, false), (.mixedFloat16, .float32, .float16, .float32, true),
            (.bfloat16, .bfloat16, .bfloat16, .float32, false), (.float16, .float16, .float16, .float32, true),
        ]
        for (precision, storage, compute, loss, scaled) in table {
            let policy = PrecisionPolicy(precision)
            #expect(policy.storage == storage && policy.compute == compute && policy.loss == loss, "\(precision)")
            #expect(policy.needsLossScale == scaled, "\(precision)")
            let module = SmallClassifier()
            try policy.apply(to: module)
            for parameter in module.parameters() {
                #expect(parameter.storageType == storage && parameter.computeType == compute, "\(precision)")
                #expect(parameter.value.dtype == compute, "\(precision)")
            }
            let batch = try Points(6).batch([0, 1, 2], dtype: compute)
            let logits = module.logits(batch)
            #expect(logits.dtype == compute, "\(precision)")
            let result = try crossEntropy(logits, batch.targets)
            #expect(result.dtype == loss, "\(precision)")
            result.backward()
            #expect(module.hidden.weight.gradient?.dtype == loss, "\(precision)")
        }
    }

    @Test func overridesByPattern() throws {
        let module = SmallClassifier()
        try PrecisionPolicy(.mixedFloat16, overrides: ["head.bias": .bfloat16, "head.*": .float32]).apply(to: module)
        #expect(module.hidden.weight.storageType == .float32 && module.hidden.weight.computeType == .float16)
        #expect(module.head.weight.storageType == .float32 && module.head.weight.computeType == .float32)
        #expect(module.head.bias?.storageType == .float32 && module.head.bias?.computeType == .bfloat16)

        try PrecisionPolicy(.bfloat16, overrides: ["*.bias": .float32]).apply(to: module)
        #expect(module.hidden.weight.storageType == .bfloat16 && module.hidden.bias?.storageType == .float32)

        #expect(PrecisionPolicy(.float32, overrides: ["head.*": .float16]).needsLossScale)
        #expect(throws: PrecisionError.self) {
            try PrecisionPolicy(.float32, overrides: ["x": .float16]).apply(to: module)
        }
        #expect(throws: PrecisionError.self) {
            try PrecisionPolicy(.float32, overrides: ["head.*": .int64]).apply(to: module)
        }
    }

    @Test func overridesAreParsedAndAMissSaysWhatLayersThereAre() throws {
        let parsed = try PrecisionPolicy.Override(parsing: "head.*=float32")
        #expect(parsed == .init(pattern: "head.*", type: .float32) && "\(parsed)" == "head.*=float32")
        #expect(try PrecisionPolicy.Override(parsing: "a=b=bfloat16") == .init(pattern: "a=b", type: .bfloat16))
        let errors: [(String, PrecisionError)] = [
            ("head.*", .notAnOverride("head.*")), ("", .notAnOverride("")), ("=float32", .notAnOverride("=float32")),
            ("head.*=", .notFloatingPoint(pattern: "head.*", type: "")),
            ("head.*=int64", .notFloatingPoint(pattern: "head.*", type: "int64")),
            ("head.*=fp32", .notFloatingPoint(pattern: "head.*", type: "fp32")),
        ]
        for (text, error) in errors {
            #expect(throws: error) { try PrecisionPolicy.Override(parsing: text) }
            #expect(error.description.contains("float64, float32, float16 and bfloat16"))
        }
        let miss = #expect(throws: PrecisionError.self) {
            try PrecisionPolicy(.float32, overrides: ["tail.*": .float16]).apply(to: SmallClassifier())
        }
        #expect(
            miss?.description == """
                the precision override 'tail.*' matches no parameter; the layers are hidden (weight, bias), \
                head (weight, bias)
                """)
        #expect(PrecisionOverrides([]) == [:] && "\(PrecisionOverrides([]))" == "none")
        #expect("\(["a": .float32, "b.?": .bfloat16] as PrecisionOverrides)" == "a=float32, b.?=bfloat16")
    }

    @Test func patterns() {
        let table: [(String, String, Bool)] = [
            ("head.weight", "head.*", true), ("head", "head.*", false), ("a.head.weight", "head.*", false),
            ("a.head.weight", "*head*", true), ("layers.0.bias", "layers.?.bias", true),
            ("layers.10.bias", "layers.?.bias", false), ("layers.10.bias", "*.bias", true), ("abcabc", "*abc", true),
            ("", "*", true), ("", "", true), ("a", "", false), ("aXbXc", "a*X*c", true), ("aXbXd", "a*X*c", false),
        ]
        for (name, pattern, expected) in table {
            #expect(matches(name, pattern: pattern) == expected, "\(name) \(pattern)")
        }
    }
}

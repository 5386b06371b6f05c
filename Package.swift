// swift-tools-version: 6.2
import PackageDescription

// Warnings are errors in this package's own targets; dependencies are exempt. Imports are internal unless they say otherwise.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault")]

// Which part of the package is built, where it is not the whole: see the end of this file.
let part = Context.environment["NEEDLETAIL_PART"]

let optimization =
    switch part {
    case nil, "tensor", "nn", "trainer": ["-O3"]
    // The address sanitizer's checks as calls: written out in the kernels they take minutes to compile.
    case "kernels": ["-O1", "-mllvm", "-asan-instrumentation-with-call-threshold=0"]
    // In C only, with its library from .ci/sanitize: the Swift driver refuses this sanitizer on Linux.
    case "kernels-undefined":
        ["-O1", "-g", "-fsanitize=undefined,float-cast-overflow,local-bounds", "-fno-sanitize-recover=all"]
    default: ["-O1"]
    }

let package = Package(
    name: "needletail",
    products: [
        .library(name: "Needletail", targets: ["Needletail"]),
        .library(name: "NeedletailTensorBoard", targets: ["NeedletailTensorBoard"]),
        .executable(name: "needletail", targets: ["NeedletailCLI"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Kernels at -O3 in debug builds too: at -O0 they are unusable. The fuzzer runs none.
        .target(
            name: "CSIMD",
            path: "CSIMD",
            cSettings: [.unsafeFlags(["-fopenmp"] + optimization)],
            linkerSettings: [
                .linkedLibrary("omp5"), .linkedLibrary("m"), .linkedLibrary("rt", .when(platforms: [.linux])),
            ]
        ),
        .systemLibrary(
            name: "COpenBLAS", path: "Sources/COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CPNG", path: "Sources/CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),

        // Linked, not imported: it works when a program is loaded.
        .target(name: "CStandardStreams"),

        .target(name: "NeedletailFiles", dependencies: ["CStandardStreams"], swiftSettings: strict),
        .target(
            name: "NeedletailTensor", dependencies: ["CSIMD", "COpenBLAS", "NeedletailFiles"], swiftSettings: strict),
        .target(name: "NeedletailNN", dependencies: ["NeedletailFiles", "NeedletailTensor"], swiftSettings: strict),
        .target(name: "NeedletailOptim", dependencies: ["NeedletailTensor"], swiftSettings: strict),
        .target(
            name: "NeedletailData", dependencies: ["NeedletailFiles", "NeedletailTensor", "CZlib"],
            swiftSettings: strict),
        .target(
            name: "NeedletailPNG", dependencies: ["NeedletailFiles", "NeedletailData", "CPNG"], swiftSettings: strict),
        .target(
            name: "NeedletailTrainer",
            dependencies: [
                "NeedletailFiles", "NeedletailTensor", "NeedletailNN", "NeedletailOptim", "NeedletailData",
            ],
            swiftSettings: strict),
        .target(
            name: "Needletail",
            dependencies: [
                "NeedletailTensor", "NeedletailNN", "NeedletailOptim", "NeedletailData", "NeedletailTrainer",
            ],
            swiftSettings: strict),
        // Of its own, so that only those who want event files build swift-protobuf.
        .target(
            name: "NeedletailTensorBoard",
            dependencies: [
                "NeedletailFiles", "NeedletailTrainer", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Protos"], swiftSettings: strict),
        .target(
            name: "NeedletailBench",
            dependencies: ["NeedletailFiles", "NeedletailTensor", "NeedletailNN", "NeedletailOptim"],
            swiftSettings: strict),
        .target(name: "NeedletailVerify", dependencies: ["NeedletailTensor"], swiftSettings: strict),
        // Of its own, so that the fuzzer can read configuration files too.
        .target(
            name: "NeedletailSettings", dependencies: ["NeedletailFiles", .product(name: "Yams", package: "Yams")],
            swiftSettings: strict),
        .target(name: "CStart", dependencies: ["CStandardStreams"]),
        .executableTarget(
            name: "NeedletailCLI",
            dependencies: [
                "CStart", "Needletail", "NeedletailBench", "NeedletailVerify", "NeedletailPNG", "NeedletailTensorBoard",
                "NeedletailSettings", "NeedletailFiles",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // What a reader copies: each is a file of its own, run by a test.
        .executableTarget(
            name: "ExampleClassifier", dependencies: ["Needletail"], path: "Sources/Examples/Classifier",
            swiftSettings: strict),
        .executableTarget(
            name: "ExampleCNN", dependencies: ["Needletail"], path: "Sources/Examples/CNN", swiftSettings: strict),
        .executableTarget(
            name: "ExampleGAN", dependencies: ["Needletail"], path: "Sources/Examples/GAN", swiftSettings: strict),
        .executableTarget(
            name: "ExampleFineTuning", dependencies: ["Needletail"], path: "Sources/Examples/FineTuning",
            swiftSettings: strict),
        .executableTarget(
            name: "ExampleCallback", dependencies: ["Needletail"], path: "Sources/Examples/Callback",
            swiftSettings: strict),
        .executableTarget(
            name: "ExamplePrediction", dependencies: ["Needletail"], path: "Sources/Examples/Prediction",
            swiftSettings: strict),
        .executableTarget(
            name: "ExampleGPT", dependencies: ["Needletail"], path: "Sources/Examples/GPT", swiftSettings: strict),
        .executableTarget(
            name: "ExampleLoRA", dependencies: ["Needletail"], path: "Sources/Examples/LoRA", swiftSettings: strict),

        .testTarget(name: "CSIMDTests", dependencies: ["CSIMD"], swiftSettings: strict),
        .testTarget(name: "NeedletailFilesTests", dependencies: ["NeedletailFiles"], swiftSettings: strict),
        .testTarget(
            name: "NeedletailTensorTests", dependencies: ["NeedletailTensor"], resources: [.copy("Fixtures")],
            swiftSettings: strict),
        .testTarget(
            name: "NeedletailNNTests", dependencies: ["NeedletailTensor", "NeedletailNN"],
            resources: [.copy("Fixtures")], swiftSettings: strict),
        .testTarget(
            name: "NeedletailOptimTests", dependencies: ["NeedletailTensor", "NeedletailNN", "NeedletailOptim"],
            resources: [.copy("Fixtures")], swiftSettings: strict),
        .testTarget(
            name: "NeedletailDataTests", dependencies: ["NeedletailTensor", "NeedletailData", "CZlib"],
            swiftSettings: strict),
        .testTarget(
            name: "NeedletailTrainerTests", dependencies: ["Needletail", "NeedletailFiles"], swiftSettings: strict),
        .testTarget(
            name: "NeedletailTensorBoardTests",
            dependencies: ["Needletail", "NeedletailTensorBoard", "NeedletailCLI"],
            swiftSettings: strict),
        .testTarget(
            name: "NeedletailBenchTests", dependencies: ["NeedletailTensor", "NeedletailBench"],
            swiftSettings: strict),
        .testTarget(
            name: "NeedletailCLITests",
            dependencies: ["NeedletailCLI", "NeedletailNN", "NeedletailBench", "NeedletailSettings"],
            resources: [.copy("Fixtures")], swiftSettings: strict),
        .testTarget(
            name: "ExamplesTests",
            dependencies: [
                "ExampleClassifier", "ExampleGAN", "ExampleFineTuning", "ExampleCallback", "ExamplePrediction",
                "ExampleCNN",
                "ExampleGPT", "ExampleLoRA",
            ], swiftSettings: strict),
        // Each reader of foreign files behind one function: for the tests below and for the fuzzers.
        .target(
            name: "UntrustedInputs", dependencies: ["Needletail", "NeedletailPNG", "NeedletailSettings"],
            path: "Tests/UntrustedInputs", swiftSettings: strict),
        .testTarget(
            name: "NeedletailTrustTests",
            dependencies: [
                "Needletail", "NeedletailVerify", "NeedletailPNG", "NeedletailSettings", "NeedletailCLI",
                "UntrustedInputs", "CZlib",
            ],
            resources: [.copy("Fixtures")], swiftSettings: strict),
    ]
)

// NEEDLETAIL_PART=tensor, nn or trainer builds and tests that layer and those below it, without the package's dependencies:
// for quick rounds of edit and test. NEEDLETAIL_PART=kernels keeps the kernels and their tests, which is what .ci/sanitize
// builds (kernels-undefined: with the checks for undefined behaviour); NEEDLETAIL_PART=fuzz adds the fuzzer, which .ci/fuzz
// links with libFuzzer (make fuzz).
switch part {
case "kernels", "kernels-undefined":
    package.products = []
    package.dependencies = []
    package.targets.removeAll { !["CSIMD", "CSIMDTests"].contains($0.name) }
case "tensor", "nn", "trainer":
    let layers = [
        [
            "CSIMD", "COpenBLAS", "CStandardStreams", "NeedletailFiles", "NeedletailTensor", "CSIMDTests",
            "NeedletailFilesTests", "NeedletailTensorTests",
        ],
        ["NeedletailNN", "NeedletailOptim", "NeedletailNNTests", "NeedletailOptimTests"],
        [
            "CZlib", "NeedletailData", "NeedletailTrainer", "Needletail", "NeedletailDataTests",
            "NeedletailTrainerTests",
        ],
    ]
    let kept = layers[...(part == "tensor" ? 0 : part == "nn" ? 1 : 2)].joined()
    package.products = []
    package.dependencies = []
    package.targets.removeAll { !kept.contains($0.name) }
case "fuzz":
    let instrumented = [
        "NeedletailData", "NeedletailFiles", "NeedletailNN", "NeedletailPNG", "NeedletailSettings",
        "NeedletailTrainer", "UntrustedInputs",
    ]
    for target in package.targets where instrumented.contains(target.name) {
        target.swiftSettings?.append(.unsafeFlags(["-sanitize=fuzzer"]))
    }
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["UntrustedInputs"], path: "Tests/Fuzz", exclude: ["corpus", "make_corpus.py"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
default: break
}

// swift-tools-version: 6.2
import PackageDescription

// Regression benchmarks of the public API. A package of its own, so that users of the library do not fetch its dependencies.
let package = Package(
    name: "needletail-benchmarks",
    dependencies: [
        .package(name: "needletail", path: ".."),
        // Without its traits: they bring packages that intercept malloc; AllocationCount does that here.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .target(name: "AllocationCount", path: "AllocationCount"),
        .executableTarget(
            name: "Kernels",
            dependencies: [
                "AllocationCount", .product(name: "Needletail", package: "needletail"),
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Kernels",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    ]
)

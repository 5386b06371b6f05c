#if os(Linux) && arch(x86_64)
    import CSIMD
    import Glibc
    import Testing

    /// A host process that flushes subnormals (FTZ and DAZ in MXCSR, as programs built with -ffast-math set them at their start):
    /// what still holds then is in docs/numerics.md, "Floating-point modes of the process".
    @Suite struct FloatingPointModeTests {
        private static let flushing: UInt32 = 0x8040  // FTZ, bit 15, and DAZ, bit 6

        /// The control bits of MXCSR; its lowest six are flags that arithmetic sets.
        private static func modes() -> UInt32 {
            var environment = fenv_t()
            fegetenv(&environment)
            return environment.__mxcsr & 0xFFC0
        }

        private static func withFlushing<R>(_ isOn: Bool, _ body: () throws -> R) rethrows -> R {
            var environment = fenv_t()
            fegetenv(&environment)
            let before = environment.__mxcsr
            environment.__mxcsr = isOn ? before | flushing : before & ~flushing
            fesetenv(&environment)
            defer {
                environment.__mxcsr = before
                fesetenv(&environment)
            }
            return try body()
        }

        /// One call of each family on enough elements for several threads; what it wrote.
        private static var calls: [(name: String, run: (_ scale: Float) -> [UInt8])] {
            [
                ("gemm", { product(CSIMD_F32, scale: $0) }), ("gemm bf16", { product(CSIMD_BF16, scale: $0) }),
                ("convert", { scale in array { csimd_convert(CSIMD_F32, $0, CSIMD_BF16, $1, count) }(scale) }),
                ("exp", { scale in array { csimd_unary(CSIMD_EXP, CSIMD_F32, count, $0, 0, 0, $1) }(scale) }),
                (
                    "scale",
                    { scale in array { csimd_unary(CSIMD_SCALE_SHIFT, CSIMD_F32, count, $0, 0.5, 0, $1) }(scale) }
                ),
                ("softmax", { scale in array { csimd_log_softmax(CSIMD_F32, count / 40, 40, $0, $1) }(scale) }),
                (
                    "sum",
                    { scale in
                        array { csimd_reduce(CSIMD_SUM, CSIMD_F32, count / 40, 40, 1, $0, 1, false, CSIMD_F32, $1) }(
                            scale)
                    }
                ),
                ("adam", { adam(scale: $0) }),
            ]
        }

        private static let count = 240_000

        private static func values(_ scale: Float) -> [Float] {
            (0..<count).map { scale * (Float($0 &* 7919 % 2003) / 1000 - 1) }
        }

        private static func array(
            _ call: @escaping (UnsafePointer<Float>, UnsafeMutablePointer<UInt8>) -> csimd_status
        ) -> (_ scale: Float) -> [UInt8] {
            { scale in
                var y = [UInt8](repeating: 0, count: 4 * count)
                #expect(call(values(scale), &y) == CSIMD_OK)
                return y
            }
        }

        private static func product(_ type: csimd_type, scale: Float) -> [UInt8] {
            let operands = GemmProblem(m: 120, n: 130, k: 300, types: (type, type, CSIMD_F32)).make()
            defer { operands.release() }
            for i in 0..<120 { for p in 0..<300 { operands.a[i, p] *= scale } }
            #expect(operands.run() == CSIMD_OK)
            return operands.c.buffer.array
        }

        private static func adam(scale: Float) -> [UInt8] {
            var parameter = values(scale), gradient = values(scale), first = gradient, second = gradient.map { abs($0) }
            let status = parameter.withUnsafeMutableBytes { parameter in
                gradient.withUnsafeMutableBytes { gradient in
                    var arguments = csimd_optimizer_args()
                    (arguments.type, arguments.count) = (CSIMD_F32, count)
                    (arguments.parameter, arguments.gradient) = (
                        parameter.baseAddress, UnsafeRawPointer(gradient.baseAddress)
                    )
                    (arguments.gradient_scale, arguments.clip_coefficient, arguments.learning_rate) = (1, 1, 1e-3)
                    return csimd_adam_step(&arguments, &first, &second, nil, 0.9, 0.999, 1e-8, true, 1)
                }
            }
            #expect(status == CSIMD_OK)
            return [parameter, first, second].flatMap { $0.withUnsafeBytes { Array($0) } }
        }

        /// The modes are as they were found, whether they flush or not, after work on one thread and on several.
        @Test func theModesAreLeftAsFound() {
            forEachGemm { row in
                for isOn in [false, true] {
                    for threads: Int32 in [1, 4] {
                        for call in Self.calls {
                            Self.withFlushing(isOn) {
                                let before = Self.modes()
                                withThreads(threads) { _ = call.run(0x1p-120) }
                                let after = Self.modes()
                                #expect(after == before, "\(row) \(call.name) \(threads) threads")
                            }
                        }
                    }
                }
            }
        }

        /// Conversions have the same bits under both modes, on every boundary of subnormals; to and from float64 too, where the
        /// CPU's own would drop float32's.
        @Test func conversionsHonourSubnormalsWhateverTheModes() {
            let patterns = (0..<200_000).map { UInt32($0) &* 42_949 } + (0..<4000).map { UInt32($0) << 12 | 0x800 }
            let x = patterns.map { Float(bitPattern: $0) }
            let narrow = (0...UInt16.max).map { $0 }
            forEachRow { row in
                for type in [CSIMD_F16, CSIMD_BF16] {
                    func convert() -> [[UInt8]] {
                        var y = [UInt8](repeating: 0, count: 2 * x.count), z = [UInt8](repeating: 0, count: 4 * 65536)
                        #expect(csimd_convert(CSIMD_F32, x, type, &y, x.count) == CSIMD_OK)
                        #expect(csimd_convert(type, narrow, CSIMD_F32, &z, 65536) == CSIMD_OK)
                        return [y, z]
                    }
                    let plain = Self.withFlushing(false, convert), flushed = Self.withFlushing(true, convert)
                    let isSame = plain == flushed
                    #expect(isSame, "\(row) type \(type.rawValue)")
                }
            }
            // Around each of these float32 values and each middle between two of them.
            let wide = x.filter { !$0.isNaN }.flatMap { value -> [Double] in
                let exact = Double(value), middle = exact / 2 + Double(value.nextUp) / 2
                return [exact, exact.nextUp, middle, middle.nextUp, middle.nextDown]
            }
            forEachRow { row in
                func convert() -> [[UInt8]] {
                    [
                        (CSIMD_F32, CSIMD_F64, x.count), (CSIMD_F16, CSIMD_F64, 65536), (CSIMD_BF16, CSIMD_F64, 65536),
                        (CSIMD_F64, CSIMD_F32, wide.count), (CSIMD_F64, CSIMD_F16, wide.count),
                        (CSIMD_F64, CSIMD_BF16, wide.count),
                    ].map { from, to, count in
                        var y = [UInt8](repeating: 0, count: 8 * count)
                        let status =
                            switch from {
                            case CSIMD_F32: csimd_convert(from, x, to, &y, count)
                            case CSIMD_F64: csimd_convert(from, wide, to, &y, count)
                            default: csimd_convert(from, narrow, to, &y, count)
                            }
                        #expect(status == CSIMD_OK)
                        return y
                    }
                }
                let plain = Self.withFlushing(false, convert), flushed = Self.withFlushing(true, convert)
                for index in plain.indices {
                    let isSame = plain[index] == flushed[index]
                    #expect(isSame, "\(row) pair \(index)")
                }
            }
        }

        /// Arithmetic follows the modes of the calling thread on all threads, so that their number changes no bit; where no
        /// subnormal number comes up the modes change none either; afterwards subnormals count again, on all threads.
        @Test func allThreadsFollowTheCaller() {
            forEachGemm { row in
                for call in Self.calls {
                    for scale: Float in [1, 0x1p-125] {
                        let plain = Self.withFlushing(false) { withThreads(4) { call.run(scale) } }
                        let flushed = Self.withFlushing(true) {
                            [1, 4].map { n in withThreads(n) { call.run(scale) } }
                        }
                        let again = Self.withFlushing(false) { [4, 1].map { n in withThreads(n) { call.run(scale) } } }
                        let place = "\(row) \(call.name) at \(scale)"
                        // Judged first: a failure must not print megabytes.
                        let (follow, isBack) = (flushed[0] == flushed[1], again == [plain, plain])
                        let isSame = scale < 1 || call.name == "adam" || plain == flushed[0]
                        #expect(follow, "\(place): threads differ where subnormals are flushed")
                        #expect(isBack, "\(place): a mode has stayed behind")
                        #expect(isSame, "\(place): other bits though nothing was subnormal")
                    }
                }
            }
        }

        /// The bound under flushing: each of k steps loses less than 2^-126 more, carried on as docs/numerics.md says of VDPBF16PS.
        @Test func flushedProductsStayWithinTheirBound() {
            for type in [CSIMD_F32, CSIMD_BF16] {
                for (m, n, k) in [(9, 17, 12), (37, 101, 95), (40, 70, 1100), (3, 40, 130)] {
                    let operands = GemmProblem(
                        m: m, n: n, k: k, types: (type, type, CSIMD_F32), draw: { $0.nextSigned() * 0x1p-62 }
                    ).make()
                    defer { operands.release() }
                    let expected = operands.expected()
                    let slack = Double(k + 2) * 0x1p-126
                    forEachGemm { row in
                        Self.withFlushing(true) { #expect(operands.run() == CSIMD_OK) }
                        let got = operands.c.doubles
                        let worst = got.indices.first { index in
                            let error = abs(got[index] - expected.values[index])
                            return !(error <= expected.bounds[index] + slack)
                        }
                        #expect(worst == nil, "\(row) type \(type.rawValue) [\(m), \(n), \(k)] at \(worst ?? -1)")
                        #expect(got.allSatisfy { $0 == 0 || abs($0) >= 0x1p-126 }, "\(row): flushed")
                    }
                }
            }
        }
    }
#endif

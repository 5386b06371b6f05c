// Odd environments: what means nothing changes nothing, and what is wrong is named.
import Foundation
import NeedletailFiles
import Testing

@Suite struct SurroundingsTests {
    private static let training: [FilePath] = [
        "train", "--quiet", "--epochs", "1", "--hidden", "4", "--threads", "1", "--limit-train-batches", "2",
        "--limit-val-batches", "1", "--limit-test-batches", "1",
    ]

    private func run(
        _ words: [FilePath], _ environment: [String: FilePath?] = [:], in folder: String = "/tmp"
    ) throws -> RawNeedletail { try RawNeedletail(words, in: folder, environment: environment) }

    private func lines(_ run: RawNeedletail) -> [String] { run.complaint.split(separator: "\n").map(String.init) }

    /// The names of all options, as variables.
    private func variables() throws -> [String] {
        let printed = try run(["train", "--print-config"])
        return String(decoding: printed.output, as: UTF8.self).split(separator: "\n").compactMap { line in
            line.firstMatch(of: /^(# )?([a-z0-9-]+):/).map {
                "NEEDLETAIL_" + $0.2.uppercased().replacingOccurrences(of: "-", with: "_")
            }
        }
    }

    /// The variables that Kubernetes makes for services: one line tells of all of them, and they change nothing.
    @Test(arguments: ["", "_DATA", "_CSV", "_EPOCHS", "_REPORT"])
    func servicesAreNoOptions(_ service: String) throws {
        let name = "NEEDLETAIL" + service
        let address: FilePath = "tcp://10.0.0.1:80"
        let environment: [String: FilePath?] = [
            "\(name)_SERVICE_HOST": "10.0.0.1", "\(name)_SERVICE_PORT": "80", "\(name)_SERVICE_PORT_HTTP": "80",
            "\(name)_PORT": address, "\(name)_PORT_80_TCP": address, "\(name)_PORT_80_TCP_PROTO": "tcp",
            "\(name)_PORT_80_TCP_PORT": "80", "\(name)_PORT_80_TCP_ADDR": "10.0.0.1",
        ]
        let found = try run(["train", "--print-config"], environment)
        let plain = try run(["train", "--print-config"])
        #expect(found.status == 0 && found.output == plain.output)
        #expect(lines(found).count == 1 && found.complaint.hasPrefix("needletail: warning: "), "\(found.complaint)")
        for variable in environment.keys { #expect(found.complaint.contains(variable)) }
        #expect(!found.complaint.contains("meant"))
    }

    /// A slip of the finger in any option's variable: a letter left out, doubled, exchanged with the next, no underscores, small
    /// letters. Each is told of, with the option that was probably meant, and changes nothing.
    @Test func slipsAreToldOf() throws {
        let names = try variables()
        #expect(names.count > 40)
        var slips: [String: String] = [:]
        for name in names where name.utf8.count >= 18 {
            let letters = Array(name)
            for place in [12, letters.count - 1] where letters[place] != "_" {
                slips[String(letters[..<place] + letters[(place + 1)...])] = name
                slips[String(letters[...place] + letters[place...])] = name
            }
            var exchanged = letters
            exchanged.swapAt(13, 14)
            slips[String(exchanged)] = name
            slips["NEEDLETAIL_" + name.dropFirst(11).replacingOccurrences(of: "_", with: "")] = name
            slips["NEEDLETAIL_" + name.dropFirst(11).lowercased()] = name
        }
        for name in names { slips[name] = nil }
        let found = try run(["train", "--print-config"], slips.mapValues { _ in "3" })
        let plain = try run(["train", "--print-config"])
        #expect(found.status == 0 && found.output == plain.output)
        for (slip, name) in slips {
            let told = lines(found).filter { $0.contains("variable \(slip) ") }
            #expect(told.count == 1 && told.first?.contains("was \(name) meant?") == true, "\(slip): \(told)")
        }
    }

    /// A value that an option cannot have is an error that names the variable.
    @Test func wrongValuesNameTheirVariable() throws {
        let free: Set<String> = [
            "CONFIG", "PRINT_CONFIG", "CHECKPOINT", "METRICS", "CSV", "TENSORBOARD", "REPORT", "TRACE", "NUMERICS",
            "MLFLOW_EXPERIMENT",
        ]
        for variable in try variables() where !free.contains(String(variable.dropFirst(11))) {
            let found = try run(["train"], [variable: "/nowhere/at-all"])
            #expect([64, 65, 74].contains(found.status), "\(variable): \(found.status)")
            #expect(found.complaint.contains(variable) && lines(found).count == 1, "\(variable): \(found.complaint)")
        }
        for variable in ["CHECKPOINT", "METRICS", "CSV", "TENSORBOARD", "REPORT", "TRACE", "NUMERICS"] {
            let found = try run(Self.training, ["NEEDLETAIL_" + variable: "/proc/nowhere/at-all"])
            #expect(found.status == 74 && found.complaint.contains("NEEDLETAIL_" + variable), "\(found.complaint)")
        }
    }

    /// Values that say how things look, where one is and how large: the same result, and nothing is said.
    @Test func theRestChangesNothing() throws {
        let plain = try results(run(Self.training))
        #expect(plain.count >= 3)
        let long = FilePath(bytes: [UInt8](repeating: 0x61, count: 100_000))
        let odd: [(String, [FilePath?])] = [
            ("TERM", ["dumb", "", "nothing", nil]), ("NO_COLOR", ["1", ""]), ("COLUMNS", ["0", "-1", "x", "1"]),
            ("TZ", ["", ":", "Nowhere/Place", ":/etc/passwd", "UTC+99", FilePath(bytes: [0xFF]), long]),
            ("LC_ALL", ["de_DE.UTF-8", "C", "nothing", "", FilePath(bytes: [0xFF])]), ("LANG", ["tr_TR.UTF-8", nil]),
            ("TMPDIR", ["/nowhere", "", "relative"]), ("HOME", ["", "relative", "/nowhere", nil]), ("PATH", ["", nil]),
            ("XDG_CACHE_HOME", ["", "relative"]), ("USER", [nil]), ("LONG", [long]), ("CSIMD_ISA", [""]),
            ("CSIMD_BF16_GEMM", [""]),
        ]
        for (name, values) in odd {
            for value in values {
                let found = try run(Self.training, [name: value])
                #expect(found.status == 0 && found.complaint.isEmpty, "\(name): \(found.complaint)")
                #expect(results(found) == plain, "\(name)")
            }
        }
    }

    /// The lines of results that are a function of the options.
    private func results(_ run: RawNeedletail) -> [Substring] {
        String(decoding: run.output, as: UTF8.self).split(separator: "\n").filter { !$0.contains("per_second") }
    }

    /// A name of kernels that there are none of is told of once, by every command, and changes nothing.
    @Test(arguments: ["CSIMD_ISA", "CSIMD_BF16_GEMM"]) func unknownKernelsAreToldOf(_ name: String) throws {
        for value in ["avx3", "AVX2", "-", "\u{301}"] as [FilePath] {
            let found = try run(Self.training, [name: value])
            #expect(found.status == 0 && lines(found).count == 1, "\(found.complaint)")
            #expect(found.complaint.hasPrefix("needletail: warning: \(name) is '\(value.text)', expected one of "))
            #expect(try results(found) == results(run(Self.training)))
        }
        let doctor = try run(["doctor", "--threads", "1"], [name: "avx3"])
        #expect(
            lines(doctor).count == 1
                && String(decoding: doctor.output, as: UTF8.self).contains("avx3 is not known here"))
    }

    /// The folder that the command was started in is gone: what needs none works, and what does says so.
    @Test func aRemovedWorkingFolderIsToldOf() throws {
        let scratch = try Scratch()
        func gone(_ words: [FilePath]) throws -> RawNeedletail {
            let folder = scratch.path("gone")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            return try RawNeedletail(words, in: folder, removing: true)
        }
        #expect(try gone(Self.training).status == 0)
        for option in ["csv", "metrics", "report", "numerics", "trace", "tensorboard", "checkpoint"] {
            let found = try gone(Self.training + [FilePath("--\(option)"), "m"])
            #expect(found.status == 74 && found.complaint.contains("was removed"), "\(option): \(found.complaint)")
        }
    }

    /// Where nothing can be kept of a download, the message says which variable to set.
    @Test func aCacheThatCannotBeWrittenNamesItsVariable() throws {
        for environment: [String: FilePath?] in [
            ["XDG_CACHE_HOME": "/proc/nowhere"], ["XDG_CACHE_HOME": nil, "HOME": "/proc/nowhere"],
            ["XDG_CACHE_HOME": "relative", "HOME": "/dev/null"],
        ] {
            let found = try run(["train", "--quiet", "--data", "mnist"], environment)
            #expect(found.status == 65 && found.complaint.contains("set XDG_CACHE_HOME"), "\(found.complaint)")
        }
    }
}

// Checkpoints whose checksums are right and whose content is not: resuming and evaluating refuse them.
import Foundation
import Needletail
import Testing
import UntrustedInputs

@Suite struct MalformedCheckpointTests {
    /// Replaces the first match of `pattern` in the state.json of the checkpoint at `path`, and mends its checksum.
    private func edit(_ path: String, _ pattern: String, _ replacement: String) throws {
        let text = "{" + String(decoding: contents(path + "/state.json").dropFirst(20), as: UTF8.self)
        let range = try #require(text.range(of: pattern, options: .regularExpression), "\(pattern) in \(text)")
        try write(
            UntrustedReader.stateFile(Array(text.replacingCharacters(in: range, with: replacement).utf8)),
            to: path + "/state.json")
    }

    /// Writes tensors as the checkpoint's optimizer state, with the right checksum.
    private func replaceOptimizer(_ path: String, _ change: (inout [String: Tensor]) -> Void) throws {
        var tensors = try SafeTensorsFile.read(path + "/optimizer.safetensors").tensors
        change(&tensors)
        let bytes = try SafeTensorsFile.encode(tensors: tensors.map { ($0.key, $0.value) })
        try write(bytes, to: path + "/optimizer.safetensors")
        try edit(
            path, #""optimizer.safetensors" : \{[^}]*\}"#,
            #""optimizer.safetensors" : {"bytes" : \#(bytes.count), "crc32" : "\#(CRC32.text(bytes))"}"#)
    }

    @Test func resumingRefusesWhatNoRunWrites() throws {
        let scratch = try Scratch()
        try trainTiny(scratch("run"))
        let edits: [(String, String, String)] = [
            (#""batchInEpoch" : [0-9]+"#, #""batchInEpoch" : 99"#, "after batch 99"),
            (#""learningRate" : [-0-9.e]+"#, #""learningRate" : -1"#, "learningRate"),
            (#""learningRate" : [-0-9.e]+"#, #""learningRate" : "NaN""#, "learningRate"),
            (#""beta1" : [-0-9.e]+"#, #""beta1" : 7"#, "beta1"),
            (#""kind" : "Adam""#, #""kind" : "Lion""#, "Lion"),
            (#""kind" : "LinearWarmUp""#, #""kind" : "Spiral""#, "Spiral"),
            (#""consecutiveSkips" : \[[^]]*\]"#, #""consecutiveSkips" : [0, 0]"#, "optimizers"),
            (#""optimizers" : \["#, #""optimizers" : [{"groups" : [], "kind" : "Adam"}, "#, "optimizers"),
            (#""name" : "epoch=0-step=3""#, #""name" : "../../victim""#, "'../../victim'"),
            (#""name" : "epoch=0-step=3""#, #""name" : 3"#, "ModelCheckpoint"),
            (#""drop" : \{"#, #""elsewhere" : {"#, "drop"),
            (#""position" : [0-9]+"#, #""position" : -1"#, "does not fit its field"),
        ]
        for (pattern, replacement, says) in edits {
            try? FileManager.default.removeItem(atPath: scratch("copy"))
            try FileManager.default.copyItem(atPath: scratch("run/last"), toPath: scratch("copy"))
            try edit(scratch("copy"), pattern, replacement)
            let error = #expect(throws: CheckpointError.self, "\(replacement)") {
                try trainTiny(scratch("out"), epochs: 3, resume: .path(scratch("copy")))
            }
            #expect(error?.description.contains(says) == true, "\(replacement): \(error?.description ?? "")")
            #expect(scratch.names(in: "out") == [])
        }
        let states: [(String, Tensor, String)] = [
            ("0/head.bias.step", Tensor([Int64.max], shape: []), "2^53"),
            ("0/head.bias.step", Tensor([Int64(-1)], shape: []), "0 to 2^53"),
            ("0/head.bias.step", Tensor([Int64(1), 2]), "int64 [2]"),
            ("0/head.bias.exp_avg", Tensor([1, 2] as [Float]), "[2]"),
            ("0/head.bias.exp_avg", Tensor([Int64(1), 2, 3]), "int64"),
            ("0/head.bias.surprise", Tensor([1] as [Float]), "unexpected"),
            ("0/\u{301}", Tensor([1] as [Float]), "unexpected"),
            ("1/head.bias.step", Tensor([Int64(1)], shape: []), "unexpected"),
        ]
        for (name, tensor, says) in states {
            try? FileManager.default.removeItem(atPath: scratch("copy"))
            try FileManager.default.copyItem(atPath: scratch("run/last"), toPath: scratch("copy"))
            try replaceOptimizer(scratch("copy")) { $0[name] = tensor }
            let error = #expect(throws: CheckpointError.self, "\(name)") {
                try trainTiny(scratch("out"), epochs: 3, resume: .path(scratch("copy")))
            }
            #expect(error?.description.contains(says) == true, "\(name): \(error?.description ?? "")")
        }
        // What was not edited goes on.
        try trainTiny(scratch("out"), epochs: 3, resume: .path(scratch("run/last")))
    }

    /// Hyper-parameters that describe another model, or one that fills no machine: refused before anything is built.
    @Test func theCommandRefusesHyperparametersThatDoNotFit() throws {
        let scratch = try Scratch()
        try CommandProcess.succeeds("train --quiet --epochs 1 --hidden 8 --checkpoint \(scratch("run"))")
        let hidden = #""hidden" : \[[^]]*\]"#
        for (pattern, replacement, says) in [
            (hidden, #""hidden" : [-1]"#, "-1"), (hidden, #""hidden" : [0]"#, "size 0"),
            (hidden, #""hidden" : [9223372036854775807]"#, "9223372036854775807"),
            (hidden, #""hidden" : [2000000000]"#, "parameters"),
            (hidden, #""hidden" : [30000, 30000]"#, "layer1.weight"),
            (hidden, #""hidden" : [9]"#, "[9, 64]"), (hidden, #""hidden" : "8""#, "hyper-parameters"),
            (#""height" : [0-9]+"#, #""height" : 4294967296"#, "4294967296"),
            (#""height" : [0-9]+"#, #""height" : 2147483647"#, "pixels"),
            (#""height" : [0-9]+"#, #""height" : -8"#, "-8"), (#""classes" : [0-9]+"#, #""classes" : 0"#, "classes"),
            (#""maximum" : [0-9.]+"#, #""maximum" : 0"#, "scale pixels"),
            (#""deviation" : [0-9.]+"#, #""deviation" : "NaN""#, "scale pixels"),
            (#""mean" : [0-9.]+"#, #""mean" : "Infinity""#, "scale pixels"),
        ] {
            try? FileManager.default.removeItem(atPath: scratch("copy"))
            try FileManager.default.copyItem(atPath: scratch("run/last"), toPath: scratch("copy"))
            try edit(scratch("copy"), pattern, replacement)
            let run = try CommandProcess("evaluate \(scratch("copy"))")
            #expect(run.wait() == 65, "\(replacement): \(run.complaint)")
            #expect(run.complaint.contains(says) && run.complaint.split(separator: "\n").count == 1, "\(run.complaint)")
        }
    }
}

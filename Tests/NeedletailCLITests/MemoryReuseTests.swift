// Memory that tensors have given back is not read again: overwriting it changes no bit of a run.
import Foundation
import Testing

@Suite struct MemoryReuseTests {
    /// The pool overwrites what comes back with NaNs where MALLOC_PERTURB_ says so, and malloc what is freed.
    @Test(arguments: ["32-true", "bf16-mixed", "16-mixed"], ["cnn", "gpt", "mlp"])
    func overwrittenMemoryChangesNoBit(_ precision: String, _ model: String) throws {
        let scratch = try Scratch()
        var options = ["train", "--model", model, "--quiet", "--precision", precision, "--epochs", "1"]
        options += ["--limit-train-batches", "6", "--limit-val-batches", "2", "--threads", "2"]
        if model == "gpt" {
            let text = String(repeating: "where a pointer outlives its tensor, ", count: 400)
            options += ["--data", try scratch.write(Array(text.utf8), "text.txt")]
            options += ["--layers", "2", "--heads", "2", "--width", "64", "--context", "64", "--dropout", "0.1"]
        }
        func files(_ byte: String) throws -> [String: Data] {
            let run = try Needletail(
                options + ["--checkpoint", scratch.path(byte)], environment: ["MALLOC_PERTURB_": byte])
            #expect(run.status == 0, "\(run.complaint)")
            return try scratch.files(below: "\(byte)/last")
        }
        let (left, overwritten) = (try files("0"), try files("255"))
        for name in ["model.safetensors", "optimizer.safetensors"] {
            #expect(left[name] != nil && left[name] == overwritten[name], "\(name)")
        }
    }
}

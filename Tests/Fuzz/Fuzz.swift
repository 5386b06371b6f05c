// Gives libFuzzer's inputs to the reader named by NEEDLETAIL_FUZZ_READER (make fuzz).
import Foundation
import UntrustedInputs

/// libFuzzer's loop; `readOne` is called with each input and returns 0.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ argumentCount: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ readOne: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

private let reader: UntrustedReader = {
    let name = ProcessInfo.processInfo.environment["NEEDLETAIL_FUZZ_READER"] ?? ""
    guard let reader = UntrustedReader(rawValue: name) else {
        let names = UntrustedReader.allCases.map(\.rawValue).joined(separator: ", ")
        fatalError("NEEDLETAIL_FUZZ_READER is '\(name)', expected one of \(names)")
    }
    return reader
}()

@main
struct Fuzz {
    static func main() {
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        // Errors are what the readers are for; anything else ends the process, and libFuzzer keeps the input.
        let status = runFuzzer(&count, &arguments) { start, count in
            let bytes = Array(UnsafeBufferPointer(start: start, count: count))
            do { try reader.read(bytes) } catch { _ = "\(error)" }
            return 0
        }
        exit(status)
    }
}

// Every reader of files that come from elsewhere, behind one function: the malformed-file tests and the fuzzers call it.
import Needletail
import NeedletailPNG
import NeedletailSettings

/// A reader of foreign bytes.
package enum UntrustedReader: String, CaseIterable, Sendable {
    /// IDX arrays, gzipped or not, up to the tensor.
    case idx
    /// gzip alone, in reads of any size.
    case gzip
    /// safetensors.
    case safetensors
    /// A checkpoint's state.json, given without its checksum: that is added, or no input would get past it.
    case checkpoint
    /// PNG images.
    case png
    /// Options in YAML or JSON.
    case configuration

    /// Names of options, some of them like others.
    package static let options = ["epochs", "epoch-size", "keep", "hidden", "learning-rate", "quiet", "data"]

    /// Reads the bytes and forgets what they held; throws what the reader throws.
    package func read(_ bytes: [UInt8]) throws {
        switch self {
        case .idx: _ = try IDXArray(ByteStream(bytes, name: "input")).tensor
        case .gzip:
            let stream = try ByteStream(bytes, name: "input")
            while try !stream.read(4099).isEmpty && stream.offset < 1 << 24 {}
        case .safetensors: _ = try SafeTensorsFile.decode(bytes)
        case .checkpoint: try Checkpoint.check(stateFile: UntrustedReader.stateFile(bytes))
        case .png: _ = try PNGImage(bytes, name: "input")
        case .configuration: _ = try ConfigurationFile(bytes, path: "input", allowed: UntrustedReader.options)
        }
    }

    /// A state.json with the right checksum: `json` is an object's text.
    package static func stateFile(_ json: [UInt8]) -> [UInt8] {
        let rest = Array(json.dropFirst())
        return Array("{\"crc32\":\"\(CRC32.text(rest))\",".utf8) + rest
    }
}

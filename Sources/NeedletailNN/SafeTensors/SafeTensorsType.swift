// The element types of the safetensors format: all of them are known by name and size, those with a `DType` can be read.
public import NeedletailTensor

extension SafeTensorsFile {
    /// An element type of the format, in the order of its reference implementation (version 0.8), which lays out a file's tensors
    /// from the last to the first.
    ///
    /// The raw value is the type's name in a header. A name that is none of these is refused, as the reference implementation
    /// does: the tensor's size could not be checked.
    public enum ElementType: String, CaseIterable, Sendable {
        case bool = "BOOL"
        case float4 = "F4"
        case float6E2M3 = "F6_E2M3"
        case float6E3M2 = "F6_E3M2"
        case uint8 = "U8"
        case int8 = "I8"
        case float8E5M2 = "F8_E5M2"
        case float8E4M3 = "F8_E4M3"
        case float8E8M0 = "F8_E8M0"
        case float8E4M3FNUZ = "F8_E4M3FNUZ"
        case float8E5M2FNUZ = "F8_E5M2FNUZ"
        case int16 = "I16"
        case uint16 = "U16"
        case float16 = "F16"
        case bfloat16 = "BF16"
        case int32 = "I32"
        case uint32 = "U32"
        case float32 = "F32"
        case complex64 = "C64"
        case float64 = "F64"
        case int64 = "I64"
        case uint64 = "U64"

        /// The type in which elements of this one are read; nil where tensors of the type cannot be read.
        public var dtype: DType? { DType.allCases.first { $0.safeTensorsType == self } }

        /// How many bits an element takes; those of fewer than eight are packed without gaps.
        public var bitCount: Int {
            switch self {
            case .float4: 4
            case .float6E2M3, .float6E3M2: 6
            case .bool, .uint8, .int8, .float8E5M2, .float8E4M3, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ: 8
            case .int16, .uint16, .float16, .bfloat16: 16
            case .int32, .uint32, .float32: 32
            case .complex64, .float64, .int64, .uint64: 64
            }
        }

        /// The type with this name in a header.
        init?(named name: String) {
            // Byte by byte: comparing strings would normalise a text of any length.
            guard let type = Self.allCases.first(where: { $0.rawValue.utf8.elementsEqual(name.utf8) }) else {
                return nil
            }
            self = type
        }

        /// The names of the types that can be read, for errors.
        static var readableNames: String { names { $0.dtype != nil } }
        /// The names of all types.
        static var allNames: String { names { _ in true } }

        private static func names(where isListed: (Self) -> Bool) -> String {
            allCases.reversed().filter(isListed).map(\.rawValue).joined(separator: " ")
        }
    }

    /// What was read of a file, and what could not be.
    package struct Content {
        /// The tensors by name.
        package var tensors: [String: Tensor] = [:]
        /// The file's metadata.
        package let metadata: [String: String]
        /// The tensors that were wanted and are of a type that cannot be read, in the order of their data.
        package var unread: [Entry] = []

        /// The types of `unread` by name.
        package var unreadTypes: [String: ElementType] {
            Dictionary(uniqueKeysWithValues: unread.map { ($0.name, $0.type) })
        }
    }
}

extension DType {
    /// The type in safetensors.
    var safeTensorsType: SafeTensorsFile.ElementType {
        switch self {
        case .float64: .float64
        case .float32: .float32
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .int64: .int64
        case .int32: .int32
        case .uint8: .uint8
        case .bool: .bool
        }
    }
}

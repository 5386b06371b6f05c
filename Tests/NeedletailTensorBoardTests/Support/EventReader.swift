// Event files read by other means than they are written with: a bitwise checksum and the wire format by hand.
import Foundation

/// The records of an event file.
struct EventReader {
    /// A field of a message: number, and what its wire type gives.
    enum Field {
        case varint(UInt64), fixed64(UInt64), bytes([UInt8]), fixed32(UInt32)
    }

    /// The events in their order, each a list of fields.
    private(set) var events: [[(number: Int, field: Field)]] = []
    /// Bytes after the last whole record.
    private(set) var rest = 0
    /// What is wrong with the file; nil where every record is right.
    private(set) var damage: String?

    init(_ bytes: [UInt8]) {
        var place = 0
        while bytes.count - place >= 12 {
            let length = Int(Self.number(bytes[place..<place + 8]))
            guard Self.number(bytes[place + 8..<place + 12]) == Self.maskedChecksum(bytes[place..<place + 8]) else {
                damage = "length at \(place)"
                return
            }
            guard bytes.count - place >= length + 16 else { break }
            let event = bytes[place + 12..<place + 12 + length]
            place += 12 + length
            guard Self.number(bytes[place..<place + 4]) == Self.maskedChecksum(event) else {
                damage = "event that ends at \(place)"
                return
            }
            place += 4
            events.append(Self.fields(Array(event)))
        }
        rest = bytes.count - place
    }

    /// What was written under a tag.
    struct Value {
        let step: Int64
        let fields: [(number: Int, field: Field)]

        /// Field 2 of a value, a float.
        var scalar: Float? {
            for case (2, .fixed32(let bits)) in fields { return Float(bitPattern: bits) }
            return nil
        }

        /// The message in field `number`.
        func message(_ number: Int) -> [(number: Int, field: Field)]? {
            EventReader.bytes(number, in: fields).map(EventReader.fields)
        }
    }

    /// The version that the first record names.
    var version: String? {
        events.first.flatMap { Self.bytes(3, in: $0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Every value by its tag, in order: events have a step (2) and a summary (5) of values (1) with a tag (1).
    var values: [String: [Value]] {
        var values: [String: [Value]] = [:]
        for event in events {
            var step: Int64 = 0
            for case (2, .varint(let number)) in event { step = Int64(bitPattern: number) }
            for case (5, .bytes(let summary)) in event {
                for case (1, .bytes(let value)) in Self.fields(summary) {
                    let fields = Self.fields(value)
                    let tag = Self.bytes(1, in: fields).map { String(decoding: $0, as: UTF8.self) } ?? ""
                    values[tag, default: []].append(Value(step: step, fields: fields))
                }
            }
        }
        return values
    }

    /// The wall times of all events.
    var times: [Double] {
        events.compactMap { event in
            for case (1, .fixed64(let bits)) in event { return Double(bitPattern: bits) }
            return nil
        }
    }

    static func bytes(_ number: Int, in fields: [(number: Int, field: Field)]) -> [UInt8]? {
        for case (number, .bytes(let bytes)) in fields { return bytes }
        return nil
    }

    /// Packed float64 in field `number`.
    static func doubles(_ number: Int, in fields: [(number: Int, field: Field)]) -> [Double] {
        let bytes = bytes(number, in: fields) ?? []
        return stride(from: 0, to: bytes.count, by: 8).map {
            Double(bitPattern: UInt64(Self.number(bytes[$0..<$0 + 8])))
        }
    }

    /// A float64 in field `number`, 0 where it is left out.
    static func double(_ number: Int, in fields: [(number: Int, field: Field)]) -> Double {
        for case (number, .fixed64(let bits)) in fields { return Double(bitPattern: bits) }
        return 0
    }

    static func fields(_ bytes: [UInt8]) -> [(number: Int, field: Field)] {
        var place = 0
        func varint() -> UInt64 {
            var (value, shift): (UInt64, UInt64) = (0, 0)
            while true {
                let byte = bytes[place]
                place += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
        }
        func take(_ count: Int) -> [UInt8] {
            defer { place += count }
            return Array(bytes[place..<place + count])
        }
        var fields: [(Int, Field)] = []
        while place < bytes.count {
            let key = varint()
            let field: Field
            switch key & 7 {
            case 0: field = .varint(varint())
            case 1: field = .fixed64(number(take(8)[...]))
            case 2: field = .bytes(take(Int(varint())))
            default: field = .fixed32(UInt32(number(take(4)[...])))
            }
            fields.append((Int(key >> 3), field))
        }
        return fields
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Bit by bit: divides by the polynomial, most significant bit first.
    private static func maskedChecksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            for bit in 0..<8 {
                let high = (crc >> 31) ^ UInt32(byte >> bit & 1)
                crc = crc << 1 ^ (high == 1 ? 0x1EDC_6F41 : 0)
            }
        }
        var reflected: UInt32 = 0
        for bit: UInt32 in 0..<32 where (~crc >> bit) & 1 == 1 { reflected |= 1 << (31 - bit) }
        return UInt64((reflected >> 15 | reflected << 17) &+ 0xA282_EAD8)
    }
}

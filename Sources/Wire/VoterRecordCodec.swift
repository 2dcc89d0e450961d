import Primitives
public import Views

/// Why the file `view` of a data directory is refused. It holds votes: to go on with an empty record in its place could
/// break agreement, so the node must not start with it.
public enum VoterRecordError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The file does not begin as it should, or is empty.
    case notARecord
    /// A later version of the program wrote it.
    case unknownVersion(UInt8)
    /// The file is shorter or longer than it says.
    case torn(expectedBytes: Int, foundBytes: Int)
    case wrongChecksum
    /// The checksum is right, and the content makes no sense: a defect of the program that wrote it.
    case invalid(String)

    public var description: String {
        let advice =
            "restore it, or start with an empty data directory as a new node (its copies and its vote are lost)"
        return switch self {
        case .notARecord: "the file `view` is not a record of views: \(advice)"
        case .unknownVersion(let version):
            "the file `view` has version \(version), this program knows 1: use a newer one"
        case .torn(let expected, let found): "the file `view` has \(found) bytes instead of \(expected): \(advice)"
        case .wrongChecksum: "the file `view` is corrupt: \(advice)"
        case .invalid(let what): "the file `view` is invalid (\(what)): \(advice)"
        }
    }
}

/// The format: 8 bytes of magic, 1 of version, 4 of length of the content, the content, 8 of FNV-1a over all before.
extension VoterRecord {
    private static let magic: [UInt8] = Array("apusview".utf8)
    private static let version: UInt8 = 1
    private static let headerBytes = 13
    private static let checksumBytes = 8

    public func fileBytes() -> [UInt8] {
        var writer = ByteWriter()
        for byte in Self.magic { writer.uint8(byte) }
        writer.uint8(Self.version)
        let lengthAt = writer.bytes.count
        writer.uint32(0)
        writer.uint64(generation.rawValue)
        writer.optional(view) { $0.view($1) }
        writer.optional(promised) { $0.ballot($1) }
        writer.optional(accepted) { $0.acceptedView($1) }
        writer.patch(uint32: UInt32(writer.bytes.count - Self.headerBytes), at: lengthAt)
        writer.uint64(Self.checksum(writer.bytes[...]))
        return writer.bytes
    }

    /// Throws for everything but a whole record: there is no such thing as a silently empty one.
    public init(fileBytes bytes: [UInt8]) throws(VoterRecordError) {
        guard bytes.starts(with: Self.magic) else { throw .notARecord }
        guard bytes.count >= Self.headerBytes + Self.checksumBytes else {
            throw .torn(expectedBytes: Self.headerBytes + Self.checksumBytes, foundBytes: bytes.count)
        }
        guard bytes[Self.magic.count] == Self.version else { throw .unknownVersion(bytes[Self.magic.count]) }
        let contentEnd = bytes.count - Self.checksumBytes
        let length = Self.bigEndian(bytes[(Self.magic.count + 1)..<Self.headerBytes])
        let expected = Self.headerBytes + Int(truncatingIfNeeded: length) + Self.checksumBytes
        guard bytes.count == expected else { throw .torn(expectedBytes: expected, foundBytes: bytes.count) }
        guard Self.bigEndian(bytes[contentEnd...]) == Self.checksum(bytes[..<contentEnd]) else { throw .wrongChecksum }
        do throws(WireError) {
            var reader = ByteReader(bytes[Self.headerBytes..<contentEnd], now: .zero)
            self.init(
                generation: Generation(try reader.uint64()),
                view: try reader.optional { (reader) throws(WireError) in try reader.view() },
                promised: try reader.optional { (reader) throws(WireError) in try reader.ballot() },
                accepted: try reader.optional { (reader) throws(WireError) in try reader.acceptedView() })
            try reader.finish()
        } catch {
            throw .invalid("\(error)")
        }
    }

    private static func bigEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}

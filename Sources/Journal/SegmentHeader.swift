import Primitives

/// The first 128 bytes of a segment's file.
///
///     0  magic "APUSJRNL"        8  format version: 2 bytes     10  length of the node's name: 1     11  zero: 1
///     12 store id: 8             20 segment number: 8           28  wall clock at its creation, in us: 8
///     36 the node's name, then zeros: 63                        99  zeros: 25
///     124 CRC-32C of all before: 4
///
/// Size, magic, version and checksum have these places in every version, so that a later one is told from damage.
/// The header is synced before the first group is written: a file of at most this length holds nothing.
struct SegmentHeader: Equatable {
    static let bytes = 128
    static let version = 1
    private static let magic: UInt64 = 0x4150_5553_4A52_4E4C
    private static let nameOffset = 36
    private static let checksumOffset = 124

    var owner: StoreHolder
    var number: UInt64
    var createdAt: UInt64

    enum Flaw: Error, Equatable {
        case damaged(String)
        case future(version: Int)
    }

    func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.bytes)
        bytes.appendInteger(Self.magic)
        bytes.appendInteger(UInt16(Self.version))
        let name = Array(owner.name.rawValue.utf8)
        bytes.append(UInt8(name.count))
        bytes.append(0)
        bytes.appendInteger(owner.store.rawValue)
        bytes.appendInteger(number)
        bytes.appendInteger(createdAt)
        bytes += name
        bytes += [UInt8](repeating: 0, count: Self.checksumOffset - bytes.count)
        bytes.appendInteger(bytes.withUnsafeBytes { CRC32C.of($0) })
        return bytes
    }

    /// - Parameter number: what the file's name says.
    init(_ file: UnsafeRawBufferPointer, number: UInt64) throws(Flaw) {
        guard file.count >= Self.bytes else { throw .damaged("the header ends after \(file.count) bytes") }
        guard file.integer(at: 0) == Self.magic else { throw .damaged("this is not the header of a journal") }
        guard file.integer(at: Self.checksumOffset) == CRC32C.of(file.slice(0..<Self.checksumOffset)) else {
            throw .damaged("the header's checksum is wrong")
        }
        let version = Int(file.integer(at: 8, as: UInt16.self))
        guard version <= Self.version else { throw .future(version: version) }
        let length = Int(file[10])
        guard length <= Limits.nameBytes,
            let text = String(
                validating: file.slice(Self.nameOffset..<Self.nameOffset + length), as: UTF8.self),
            let name = NodeName(text)
        else { throw .damaged("the header names no node") }
        owner = StoreHolder(name: name, store: StoreID(file.integer(at: 12)))
        self.number = file.integer(at: 20)
        createdAt = file.integer(at: 28)
        guard self.number == number else {
            throw .damaged("the header says that this is segment \(SegmentName.of(self.number))")
        }
    }

    init(owner: StoreHolder, number: UInt64, createdAt: UInt64) {
        self.owner = owner
        self.number = number
        self.createdAt = createdAt
    }
}

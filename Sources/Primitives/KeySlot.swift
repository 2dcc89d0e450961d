/// One of the 256 parts that all keys are divided into (`Limits.keySlots`). A view says which ledger each slot belongs to:
/// that ledger's primary is the **home** of the slot's keys, the one node that decides about them.
///
/// The hash is part of the protocol: nodes of all versions have to find the same home.
public struct KeySlot: RawRepresentable, Hashable, Comparable, Sendable {
    /// What keys are for; the same text in another space is another key.
    public enum Space: UInt8, Sendable {
        case idempotency = 1
        case ordering = 2
        /// The name of a queue, where its rate and its concurrency are counted.
        case queue = 3
    }

    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// FNV-1a over the space and the key, folded to 8 bits.
    public init(of key: String, in space: Space) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        mix(space.rawValue)
        for byte in key.utf8 { mix(byte) }
        hash ^= hash >> 32
        hash ^= hash >> 16
        rawValue = UInt8(truncatingIfNeeded: hash ^ (hash >> 8))
    }

    public static func < (a: KeySlot, b: KeySlot) -> Bool { a.rawValue < b.rawValue }
}

/// A key slot that is to belong to another ledger, once its present one has handed over what it knows of the keys.
public struct SlotMove: Hashable, Sendable {
    public var slot: KeySlot
    public var to: LedgerID

    public init(slot: KeySlot, to: LedgerID) {
        self.slot = slot
        self.to = to
    }
}

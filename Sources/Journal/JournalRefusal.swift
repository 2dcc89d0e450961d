public import Primitives

/// Why a journal cannot be used as it is. Nothing was changed. Its description tells the file, the offset and what to
/// do.
public enum JournalRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// Bytes that were durable are not what was written.
    case damaged(file: String, offset: Int, reason: String)
    /// Segments that were durable are not there.
    case missing(from: UInt64, to: UInt64)
    /// It belongs to another node, or to another store of this one.
    case foreign(file: String, owner: StoreHolder, expected: StoreHolder)
    /// A later version of this program wrote it.
    case future(file: String, version: Int, known: Int)

    public var description: String {
        switch self {
        case .damaged(let file, let offset, let reason):
            "\(file) is damaged at offset \(offset): \(reason). What follows cannot be trusted, so this node does not "
                + "start: `apus journal inspect` shows the extent; `apus journal repair` moves the journal aside, and "
                + "the node then starts empty and is refilled by its peers"
        case .missing(let from, let to):
            (from == to
                ? "the segment \(SegmentName.of(from)) is missing"
                : "the segments \(SegmentName.of(from)) to \(SegmentName.of(to)) are missing")
                + ": put back what was removed, or let `apus journal repair` move the journal aside; the node then "
                + "starts empty and is refilled by its peers"
        case .foreign(let file, let owner, let expected):
            "\(file) belongs to the node \(owner.name), store \(owner.store), not to \(expected.name), store "
                + "\(expected.store): is this the right data directory? Two nodes cannot share one, nor can a "
                + "journal be copied from one to the other"
        case .future(let file, let version, let known):
            "\(file) has format \(version), and this program knows formats up to \(known): start the version of "
                + "the program that wrote it, or a later one"
        }
    }
}

import NIOCore
import Primitives

/// Who waits for an answer.
enum Asker {
    case peer(PeerCompletion)
    case address(@Sendable (Result<Introduction, PeerError>) -> Void)
}

/// The requests of one connection that have no answer yet.
///
/// A request leaves the table exactly once: with its answer (`take`), at its deadline (`expire`), or with the
/// connection (`removeAll`). Whoever removes it calls the asker.
struct RequestTable {
    struct Entry {
        let number: UInt32
        let asker: Asker
        let deadline: NIODeadline
        /// When the frame was handed to the connection; nil while it waits for the link.
        var sentAt: NIODeadline?
    }

    private var entries: [UInt32: Entry] = [:]
    private var lastNumber: UInt32 = 0
    /// No entry is due earlier. Not exact: an answered request may leave it behind.
    private(set) var earliestDeadline: NIODeadline?

    var count: Int { entries.count }

    /// - Returns: the number of the request, or nil if too many are under way.
    mutating func add(_ asker: Asker, deadline: NIODeadline, sentAt: NIODeadline?) -> UInt32? {
        guard entries.count < Limits.requestsInFlight else { return nil }
        repeat { lastNumber &+= 1 } while lastNumber == 0 || entries[lastNumber] != nil
        entries[lastNumber] = Entry(number: lastNumber, asker: asker, deadline: deadline, sentAt: sentAt)
        earliestDeadline = min(earliestDeadline ?? deadline, deadline)
        return lastNumber
    }

    /// - Returns: false if the request is not waited for any more.
    mutating func markSent(_ number: UInt32, at now: NIODeadline) -> Bool {
        guard entries[number] != nil else { return false }
        entries[number]?.sentAt = now
        return true
    }

    mutating func take(_ number: UInt32) -> Entry? { entries.removeValue(forKey: number) }

    /// Removes what is due, oldest first, and makes `earliestDeadline` exact.
    mutating func expire(at now: NIODeadline) -> [Entry] {
        var due: [Entry] = []
        var earliest: NIODeadline?
        for entry in entries.values {
            if entry.deadline <= now {
                due.append(entry)
            } else {
                earliest = min(earliest ?? entry.deadline, entry.deadline)
            }
        }
        earliestDeadline = earliest
        for entry in due { entries[entry.number] = nil }
        return due.sorted { ($0.deadline, $0.number) < ($1.deadline, $1.number) }
    }

    mutating func removeAll() -> [Entry] {
        defer {
            entries = [:]
            earliestDeadline = nil
        }
        return entries.values.sorted { $0.number < $1.number }
    }
}

/// Names a ledger. Numbers are given by views and never used again in a cluster.
public struct LedgerID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32

    public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    public static func < (a: LedgerID, b: LedgerID) -> Bool { a.rawValue < b.rawValue }
    public var description: String { "L\(rawValue)" }
}

/// Counts the primaries that a ledger has had. A replica that has seen a term refuses lower ones.
public struct Term: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let rawValue: UInt64

    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    public static let first = Term(1)
    public var next: Term { Term(rawValue &+ 1) }
    public static func < (a: Term, b: Term) -> Bool { a.rawValue < b.rawValue }
    public var description: String { String(rawValue) }
}

/// The id of a task: a UUID of version 7 (RFC 9562, section 5.7).
///
/// 48 bits of milliseconds since 1970, 12 bits of their fraction (method 3 of section 6.2: 4,096 ids a millisecond without
/// the time running ahead), then a random part whose upper 20 bits are the tag of the ledger that accepted the task: a
/// hint whom to ask first, never the truth about who owns it.
public struct TaskID: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An id that everybody makes alike who makes one for this purpose: that of what follows when `task` ends, once in each
    /// run of it. It has the time of that end, and the ledger of the task.
    public init(after task: TaskID, run: UInt32, endedAt: Timestamp) {
        var hash = SeededGenerator(seed: task.high ^ task.low &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(run))
        let milliseconds = UInt64(max(0, endedAt.milliseconds)) & (1 << 48 - 1)
        high = milliseconds << 16 | 0x7000 | hash.next() & 0xFFF
        low = 1 << 63 | UInt64(task.ledgerTag) << Self.tagShift | hash.next() & (1 << Self.tagShift - 1)
    }

    static let tagBits: UInt64 = 20
    static let tagShift: UInt64 = 62 - tagBits

    /// Time in units of 1/4096 ms since 1970: what `TaskIDGenerator` counts.
    var ticks: UInt64 { (high >> 16) << 12 | high & 0xFFF }

    /// When the id was made, by the clock of the node that made it.
    public var createdAt: Timestamp { Timestamp(milliseconds: Int64(high >> 16)) }

    /// The lower 20 bits of the number of the ledger that accepted the task.
    public var ledgerTag: UInt32 { UInt32(low >> Self.tagShift & (1 << Self.tagBits - 1)) }

    public static func tag(of ledger: LedgerID) -> UInt32 { ledger.rawValue & (1 << UInt32(tagBits) - 1) }

    public static func < (a: TaskID, b: TaskID) -> Bool { (a.high, a.low) < (b.high, b.low) }

    /// The 8-4-4-4-12 form in lower case.
    public var description: String {
        let digits = hexadecimal(high, digits: 16) + hexadecimal(low, digits: 16)
        var text = ""
        text.reserveCapacity(36)
        for (index, digit) in digits.utf8.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append("-") }
            text.unicodeScalars.append(Unicode.Scalar(digit))
        }
        return text
    }

    /// Any UUID in the 8-4-4-4-12 form, in either case; nil for anything else.
    public init?(_ text: some StringProtocol) {
        var value: (UInt64, UInt64) = (0, 0)
        var position = 0
        for byte in text.utf8 {
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
            } else {
                let digit: UInt64
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = UInt64(byte - UInt8(ascii: "0"))
                case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = UInt64(byte - UInt8(ascii: "a") + 10)
                case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = UInt64(byte - UInt8(ascii: "A") + 10)
                default: return nil
                }
                if position < 18 { value.0 = value.0 << 4 | digit } else { value.1 = value.1 << 4 | digit }
            }
            position += 1
            guard position <= 36 else { return nil }
        }
        guard position == 36 else { return nil }
        self.init(high: value.0, low: value.1)
    }
}

/// Makes task ids whose time is max(last + 1, now), so that they are unique and ascending in one process.
public struct TaskIDGenerator: Sendable {
    private var lastTicks: UInt64 = 0
    private var random: SeededGenerator

    public init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    /// - Parameter microseconds: wall-clock time since 1970.
    public mutating func next(for ledger: LedgerID, microseconds: UInt64) -> TaskID {
        let now = ((microseconds / 1000) << 12) | ((microseconds % 1000) * 4096 / 1000)
        lastTicks = max(lastTicks &+ 1, now)
        let high = (lastTicks >> 12) << 16 | 0x7000 | lastTicks & 0xFFF
        let tag = UInt64(TaskID.tag(of: ledger)) << TaskID.tagShift
        let low = 1 << 63 | tag | random.next() & (1 << TaskID.tagShift - 1)
        return TaskID(high: high, low: low)
    }
}

/// Which attempt of a task: ordered, given to handlers as their fencing token.
///
/// A manual retry begins a new run; a takeover begins a new term; within them attempts are counted. So of two tokens of
/// one task the greater one was granted later, also when the primaries that granted them never heard of each other.
public struct Token: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let run: UInt32
    public let term: Term
    public let attempt: UInt32

    public init(run: UInt32, term: Term, attempt: UInt32) {
        self.run = run
        self.term = term
        self.attempt = attempt
    }

    public static func < (a: Token, b: Token) -> Bool { (a.run, a.term, a.attempt) < (b.run, b.term, b.attempt) }
    public var description: String { "\(run).\(term).\(attempt)" }
}

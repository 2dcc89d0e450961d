public import EventLoop
public import Primitives

/// What there is of a journal, without changing it: every byte is read and checked. For `apus journal inspect`.
public struct JournalInspection: Hashable, Sendable {
    public struct Segment: Hashable, Sendable {
        public let file: String
        /// The file's length.
        public let bytes: Int
        /// Up to here all is intact.
        public let intactBytes: Int
        public let groups: Int
        public let records: Int
        /// Of the records alone.
        public let recordBytes: Int
        /// When its first and its last group were written, in microseconds since 1970; nil if it has none.
        public let writtenAt: ClosedRange<UInt64>?
        /// What is wrong at `intactBytes`; nil if nothing is.
        public let flaw: String?
        /// The next intact group behind it.
        public let intactAfterFlaw: Int?
        public let role: Role
    }

    public enum Role: Hashable, Sendable {
        case inUse
        /// Made for later, and empty.
        case prepared
        /// A later snapshot replaces it: a start removes it.
        case superseded
    }

    /// The last complete snapshot.
    public struct Snapshot: Hashable, Sendable {
        public let number: UInt64
        public let begin: JournalPosition
        public let end: JournalPosition
    }

    /// Nil if no header is intact.
    public let owner: StoreHolder?
    public let segments: [Segment]
    public let snapshot: Snapshot?
    /// The greatest end that an intact group says was durable; nil if there is none.
    public let lastNamed: JournalPosition?
    /// What a start would cut.
    public let tornTail: JournalCut?
    /// Why a start would refuse it, whoever the owner is; nil if it would not.
    public let refusal: JournalRefusal?

    /// Blocks; at most one segment is in memory.
    /// - Parameter expected: whose journal it has to be; nil accepts any.
    public init(_ volume: any Volume, expected: StoreHolder? = nil) throws(SystemError) {
        let check = try JournalCheck(volume, expected: expected, checkingRecords: true)
        owner = check.owner
        snapshot = check.snapshot.map { Snapshot(number: $0.number, begin: $0.begin, end: $0.end) }
        lastNamed = check.lastNamed
        tornTail = check.cut
        refusal = check.refusal
        let firstEmpty = check.empty.first?.number ?? .max
        segments =
            check.superseded.map { Segment($0, .superseded) }
            + check.segments.map { Segment($0, $0.number >= firstEmpty ? .prepared : .inUse) }
    }
}

extension JournalInspection.Segment {
    init(_ scan: SegmentScan, _ role: JournalInspection.Role) {
        file = scan.file
        bytes = scan.bytes
        intactBytes = scan.end
        groups = scan.groups
        records = scan.records
        recordBytes = scan.recordBytes
        writtenAt = scan.writtenAt
        switch scan.header {
        case .success: flaw = scan.flaw?.reason
        case .failure(.damaged(let reason)): flaw = reason
        case .failure(.future(let version)): flaw = "format \(version), which this program does not know"
        }
        intactAfterFlaw = scan.intactAfterFlaw
        self.role = role
    }
}

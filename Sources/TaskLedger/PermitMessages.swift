public import Primitives

/// What the owner of tasks tells the home of their queue: what it holds, and what it would start now.
public struct PermitClaim: Hashable, Sendable {
    /// Tasks of the queue that have a lease, in one ledger that the owner serves.
    public struct Held: Hashable, Sendable {
        public var ledger: LedgerID
        public var count: UInt32

        public init(ledger: LedgerID, count: UInt32) {
            self.ledger = ledger
            self.count = count
        }
    }

    public var queue: String
    /// Void in any other view.
    public var view: UInt64
    /// Rises with every claim of an owner's process about the queue. Of two the later one counts, whichever arrives first, and
    /// what was lent for the earlier one is void.
    public var number: UInt64
    /// Starts that the owner would make at once. 0: it only tells.
    public var wanted: UInt32
    /// Permits of an earlier loan that were not used, and will not be.
    public var unused: UInt32
    /// Of a queue with a limit on concurrency: every ledger that the owner serves.
    public var held: [Held]

    public init(queue: String, view: UInt64, number: UInt64, wanted: UInt32, unused: UInt32, held: [Held]) {
        self.queue = queue
        self.view = view
        self.number = number
        self.wanted = wanted
        self.unused = unused
        self.held = held
    }
}

/// Why there is no permit.
public enum PermitShortage: UInt8, Hashable, Sendable, CaseIterable {
    /// As many have started as may in this time.
    case rate = 1
    /// As many run as may.
    case concurrency = 2
    /// The home does not know yet what others hold.
    case learning = 3
    /// There is no home: nobody serves its ledger, or it does not answer, or has another view.
    case noHome = 4
}

/// The home's answer.
public struct PermitLoan: Hashable, Sendable {
    /// Of the claim.
    public var number: UInt64
    /// So many tasks may be started or granted, within `Limits.permitLife` after the claim was sent.
    public var permits: UInt32
    /// Why there are none though some were wanted.
    public var shortage: PermitShortage?

    public init(number: UInt64, permits: UInt32, shortage: PermitShortage? = nil) {
        self.number = number
        self.permits = permits
        self.shortage = shortage
    }
}

extension Limits {
    /// How long a permit may be used after it was asked for.
    public static let permitLife = Duration.seconds(1)
    /// How long a home lets an owner wait before it says that there is no permit.
    public static let permitWait = Duration.seconds(1)
    /// Permits of one loan.
    public static let loanedPermits: UInt32 = 10_000
}

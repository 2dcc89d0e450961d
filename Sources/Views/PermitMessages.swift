public import Primitives

/// A member's request for leave to start tasks (rule R3).
public struct PermitRequest: Hashable, Sendable {
    public var asker: NodeID
    /// The view that the asker has installed. What a view up to this one took from it, it does not start any more.
    public var view: UInt64
    /// Of the asker's requests: by it the asker knows when it sent this one.
    public var number: UInt64

    public init(asker: NodeID, view: UInt64, number: UInt64) {
        self.asker = asker
        self.view = view
        self.number = number
    }
}

/// What a voter answers.
public enum PermitVerdict: Hashable, Sendable {
    /// This voter has accepted nothing that would take anything from the asker.
    case granted
    /// It may have helped to depose the asker, or does not know it.
    case withheld
    /// The asker's view is not the newest: fetch this one, and ask again.
    case outdated(newest: UInt64)
}

/// A voter's answer to the request of that number.
public struct PermitReply: Hashable, Sendable {
    public var number: UInt64
    /// The voter's: one whose disk was wiped does not count.
    public var disk: StoreID
    public var verdict: PermitVerdict

    public init(number: UInt64, disk: StoreID, verdict: PermitVerdict) {
        self.number = number
        self.disk = disk
        self.verdict = verdict
    }
}

extension Limits {
    /// F: for so long after it was asked for, the leave of a majority of the voters holds (rule R3).
    public static let fence = Duration.seconds(2)
    /// How often a member asks.
    public static let fencePeriod = fence / 4
    /// A gap between two turns of the loop that is longer than this is a pause (rule R4).
    public static let fencePause = fence / 2
    /// 1.02 F: the rates of two clocks differ by less than 2 %, so when this has passed on one, F has passed on any.
    public static let fenceRest = fence * 102 / 100
    /// Requests of which a member remembers when they were sent. Answers to older ones do not count.
    public static let permitRequests = 64
}

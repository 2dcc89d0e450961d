/// Which message a frame between nodes carries. The numbers are part of the protocol: never changed, never used again.
public enum MessageTag: UInt16, Sendable, CaseIterable {
    // Requests, each answered by one frame of the same tag.
    /// `AppendRequest`; `ReplicaReply`.
    case append = 1
    /// `CopyRequest`; `ReplicaReply`.
    case copy = 2
    /// `OfferRequest`; a bool: it was adopted.
    case offer = 3
    /// The victim's load, the number of its view, then `Assignment`s; empty.
    case grant = 4
    /// `AttemptID`s; those held, those not.
    case holds = 5
    /// A task's id and how long to wait for its end; `LookupReply`.
    case lookup = 6
    /// `ListRequest`; `TaskRecord`s.
    case list = 7
    /// A task's id; `CancelReply`.
    case cancel = 8
    /// Empty; `PeerStatus`.
    case status = 9
    /// `TaskSpec`s; `ForwardReply`.
    case forward = 10
    /// Ledgers; the places of the replicas held.
    case positions = 11
    /// `MemberRecord`s both ways.
    case pushPull = 12
    /// `PermitRequest`; `PermitReply`.
    case permit = 13
    /// A task's id; `InspectReply`.
    case inspect = 14
    /// `WishRequest`; `WishReply`.
    case wish = 15
    /// `SweepRequest`; `SweepReply`.
    case sweep = 16
    /// `KeyedRequest`; `KeyedReply`.
    case keyed = 17
    /// `KeyShipment`; a bool: the keys are bound.
    case ship = 18
    /// `TaskID`s that tasks of the asker wait for; a `ParentAnswer` for each.
    case parents = 24
    /// A workflow's id; its record and those of its tasks, or nothing.
    case workflow = 25
    /// `ExtensionRequest`; an `ExtensionDecision`.
    case extend = 26

    /// `PermitClaim`; `PermitLoan`.
    case claim = 30
    /// The name of a schedule, or none for all; a `ScheduleStatus` of each whose home it is.
    case schedules = 31
    /// `KeepRequest`; a bool: it has the part, and all of the result durably after the last one.
    case keep = 48
    /// `ReadRequest`; a part of the result, or nothing.
    case read = 49
    /// `ResultID`s that the asker keeps, on which disk; a `ResultNeed` for each.
    case needed = 50
    /// `ScrubRequest`; a `CopyState`.
    case scrub = 51
    /// A view's number; empty, once that view or a later one is installed.
    case installed = 53

    // Messages without an answer.
    /// `ViewMessage`. Also as a request, where no link is: answered by an empty frame.
    case view = 32
    /// `Evidence`: what a primary tells the voters.
    case evidence = 33
    /// `StealRequest`.
    case steal = 34
    /// `AttemptID`s that an executor has begun.
    case began = 35
    /// `AttemptReport`s.
    case report = 36
    /// `AttemptID`s whose outcomes the executor may forget.
    case settled = 37
    /// `AttemptID`s to stop.
    case stop = 38
    /// `ParentNews`, each of a task that was asked after.
    case parentsEnded = 44
    /// A `ResultID` of which somebody was handed a damaged copy, or none.
    case doubt = 52
}

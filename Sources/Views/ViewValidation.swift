import Primitives

/// Why a view is refused.
public enum ViewError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It breaks an invariant of `View`.
    case malformed(String)
    /// It cannot follow the view that it claims to follow.
    case illegalChange(String)

    public var description: String {
        switch self {
        case .malformed(let what): "malformed view: \(what)"
        case .illegalChange(let what): "illegal change of view: \(what)"
        }
    }
}

extension View {
    /// Throws unless the invariants hold. For every view that comes from a peer or from a disk.
    public func validate() throws(ViewError) {
        func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(ViewError) {
            guard holds else { throw .malformed(what()) }
        }
        func ascends(_ holders: [StoreHolder]) -> Bool {
            zip(holders, holders.dropFirst()).allSatisfy { $0.name < $1.name }
        }

        try require(number >= 1, "its number is 0")
        try require(members.count <= Limits.members, "\(members.count) members")
        try require(
            zip(members, members.dropFirst()).allSatisfy { $0.id.name < $1.id.name }, "members do not ascend by name")
        try require((1...Limits.voters).contains(voters.count), "\(voters.count) voters")
        try require(ascends(voters), "voters do not ascend by name")
        for voter in voters {
            try require(member(voter.name)?.voter == voter, "voter \(voter) is not a member with that disk")
        }
        try require(tieMark == nil || voters.count == 2, "a mark of the tie-breaker with \(voters.count) voters")
        try require(exits.count <= Limits.members, "\(exits.count) exits")
        try require(zip(exits, exits.dropFirst()).allSatisfy { $0 < $1 }, "exits do not ascend")
        try require(exits.allSatisfy { member($0) == nil }, "a member's exit")
        try require(ledgers.count <= Limits.ledgers, "\(ledgers.count) ledgers")
        try require(zip(ledgers, ledgers.dropFirst()).allSatisfy { $0.id < $1.id }, "ledgers do not ascend")
        try require(nextLedger.rawValue >= 1, "the next ledger is L0")
        for ledger in ledgers {
            try require(ledger.id.rawValue >= 1 && ledger.id < nextLedger, "\(ledger.id) is not below \(nextLedger)")
            try require(ledger.term >= .first, "\(ledger.id) has term \(ledger.term)")
            try require(ledger.backups.count < Limits.replicas, "\(ledger.id) has \(ledger.backups.count) backups")
            try require(ascends(ledger.backups), "backups of \(ledger.id) do not ascend by name")
            try require(
                ledger.backups.allSatisfy { $0.name != ledger.primary.name }, "\(ledger.id) backs itself up")
        }
        try require(slots.count == Limits.keySlots, "\(slots.count) key slots")
        if ledgers.isEmpty {
            try require(slots.allSatisfy { $0.rawValue == 0 }, "a key slot belongs to an unlisted ledger")
        } else {
            let listed = Set(ledgers.map(\.id))
            try require(slots.allSatisfy(listed.contains), "a key slot belongs to an unlisted ledger")
            for move in moves {
                let isMove = listed.contains(move.to) && slots[Int(move.slot.rawValue)] != move.to
                try require(isMove, "a key slot is to move to where it is, or to an unlisted ledger")
            }
        }
        try require(!ledgers.isEmpty || moves.isEmpty, "a key slot is to move, and there is no ledger")
        try require(zip(moves, moves.dropFirst()).allSatisfy { $0.slot < $1.slot }, "moves do not ascend by slot")
        try settings.validate()
        try require(losses.count <= Limits.lostLedgers, "\(losses.count) losses")
    }

    /// Throws unless this view may be proposed after `previous`: the rules that safety rests on, whoever the proposer
    /// is.
    ///
    /// A ledger's term never falls, and rises when its primary changes or was restarted; a takeover lists only replicas
    /// that `previous` listed; numbers of ledgers are never used again. In a forced view every term rises by the jump
    /// of the view's number, and the numbers of new ledgers leave a gap.
    public func validate(after previous: View) throws(ViewError) {
        func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(ViewError) {
            guard holds else { throw .illegalChange(what()) }
        }
        try validate()
        try require(cluster == previous.cluster, "another cluster")
        let isForced = isForced(after: previous)
        for (slot, ledger) in previous.slots.enumerated() where slots[slot] != ledger && self.ledger(ledger) != nil {
            let isPlanned = previous.moves.contains { Int($0.slot.rawValue) == slot && $0.to == slots[slot] }
            try require(isPlanned, "key slot \(slot) moves unplanned")
        }
        try require(number == previous.number &+ 1 || isForced, "view \(number) after view \(previous.number)")
        let (firstNew, overflow) = previous.nextLedger.rawValue.addingReportingOverflow(
            isForced ? Limits.forcedLedgerJump : 0)
        try require(!overflow && nextLedger.rawValue >= firstNew, "the next ledger falls, or leaves no gap")
        try require(
            exits.allSatisfy { previous.member($0) != nil }, "the exit of one that was no member")
        for ledger in ledgers {
            guard let before = previous.ledger(ledger.id) else {
                try require(ledger.id.rawValue >= firstNew, "the number of \(ledger.id) may have been used before")
                try require(ledger.backups.isEmpty, "the new \(ledger.id) has backups that hold nothing")
                continue
            }
            try require(ledger.founder == before.founder, "\(ledger.id) changes its founder")
            if isForced {
                let jump = number &- previous.number
                try require(
                    ledger.term.rawValue &- before.term.rawValue == jump, "the term of \(ledger.id) does not jump")
            }
            if ledger.term == before.term {
                try require(ledger.primary == before.primary, "\(ledger.id) changes its primary within a term")
                let process = previous.member(before.primary.name)?.id
                try require(
                    !isAvailable(ledger) || member(ledger.primary.name)?.id == process,
                    "a restarted primary of \(ledger.id) resumes its term")
            } else {
                try require(ledger.term > before.term, "the term of \(ledger.id) falls")
                let listed = before.replicas
                try require(
                    ledger.replicas.allSatisfy(listed.contains), "a takeover of \(ledger.id) lists an unlisted replica")
            }
        }
    }
}

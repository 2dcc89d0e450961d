import Primitives

/// Who has seen that a process has ended (rule R3).
///
/// A **proof** is one member's own evidence:
/// - its connection was reset or closed without a goodbye, and a new one refused (`exitProof`); or
/// - it was told of another's proof, pinged the accused at once, and the datagram came back since nobody listens at the
///   port (`portUnreachable`). Without another's proof that means nothing: the accused may not have opened its port
///   yet.
///
/// One observer is not enough: what stands between it and the accused may forge both. An exit is **proven** for whoever
/// has a proof of its own and knows of that of another living member; or has one of its own and nobody to ask, since
/// every other member is dead, has left, or has been seen to be gone by this node itself. A suspect without proof may
/// be asked, so it is waited for until its own time is up. `dead` with proof then spreads, and who hears it takes it
/// over.
///
/// A refutation makes a proof void: the accused lives. But one of an earlier suspicion may still be about when its
/// author is gone, so the own proof is insisted on once, under the higher incarnation; the second refutation counts.
struct ExitEvidence: Hashable, Sendable {
    let subject: NodeID
    /// This node has seen it.
    var isOwn = false
    /// Others who have; more of them do not matter.
    private(set) var witnesses: [NodeName] = []
    /// The own proof has outlived a refutation.
    var hasInsisted = false

    init(of subject: NodeID) { self.subject = subject }

    /// Whether that is news, to be spread.
    mutating func add(_ name: NodeName, isOwn: Bool) -> Bool {
        if isOwn {
            defer { self.isOwn = true }
            return !self.isOwn
        }
        guard witnesses.count < MembershipLimits.witnesses, !witnesses.contains(name) else { return false }
        witnesses.append(name)
        return true
    }
}

/// How an exit is proven.
extension Membership {
    /// This node has seen that the process has ended.
    mutating func proveExit(of id: NodeID, at now: Instant, into effects: inout [Effect]) {
        guard phase == .active, let known = table[id] else { return }
        testify(id, incarnation: known.incarnation, by: own.id.name, at: now, into: &effects)
    }

    /// Takes in the proof of this node or of another living member (`isWitness`). Of a living one it makes a suspect;
    /// of one that was declared dead without proof it tells how it died.
    mutating func testify(
        _ id: NodeID, incarnation: Incarnation, by witness: NodeName, at now: Instant, into effects: inout [Effect]
    ) {
        guard let known = table[id], isOpen(known) else { return }
        let isOwn = witness == own.id.name
        let index = place(of: known.id)
        let isNews = evidence[index].add(witness, isOwn: isOwn)
        let mayConfirm = !isOwn && !evidence[index].isOwn
        if known.state.isLiving {
            suspect(
                known, incarnation: incarnation, by: witness, hasProof: true, isNewProof: isNews, at: now,
                into: &effects)
        } else if isNews {
            queue.enqueue(.suspect(known.id, known.incarnation, by: witness, hasProof: true))
        }
        if isNews { isUrgent = true }
        // As often as it is told: the first ping, or what came back, may be lost.
        if mayConfirm { knock(on: known, at: now, into: &effects) }
    }

    /// Whether there is something to prove.
    private func isOpen(_ record: MemberRecord) -> Bool {
        record.state.isLiving || record.state == .dead && !record.isExitProven
    }

    /// Of the evidence of `id`, which this makes room for.
    private mutating func place(of id: NodeID) -> Int {
        if let index = evidence.firstIndex(where: { $0.subject == id }) { return index }
        if evidence.count >= MembershipLimits.evidence { evidence.removeFirst() }
        evidence.append(ExitEvidence(of: id))
        return evidence.endIndex - 1
    }

    /// Whether its proof of the end of `accused` counts: another living member.
    func isWitness(_ name: NodeName, against accused: NodeID) -> Bool {
        name != own.id.name && name != accused.name && table[name]?.state.isLiving == true
    }

    func hasProof(of id: NodeID, by name: NodeName) -> Bool {
        evidence.contains { $0.subject == id && (name == own.id.name ? $0.isOwn : $0.witnesses.contains(name)) }
    }

    /// Whether another's proof is known, which an unreachable port would confirm.
    func isAskedToConfirm(_ id: NodeID) -> Bool {
        evidence.contains { $0.subject == id && !$0.isOwn && !$0.witnesses.isEmpty }
    }

    /// A ping whose datagram comes back if nobody is there. One that is under way may have been sent before the end.
    private mutating func knock(on record: MemberRecord, at now: Instant, into effects: inout [Effect]) {
        if let probe = probes.first(where: { $0.target == record.id }) {
            send(
                .ping(sequence: probe.sequence, target: record.id), to: record.profile.gossip,
                first: accusation(of: record.id), into: &effects)
        } else if record.state.isLiving, let index = table.index(of: record.id.name) {
            startProbe(of: index, at: now, into: &effects)
        } else {
            send(.ping(sequence: takeSequence(), target: record.id), to: record.profile.gossip, into: &effects)
        }
    }

    /// What becomes of the evidence when the accused is alive under a higher incarnation.
    mutating func weighRefutation(of id: NodeID, at now: Instant, into effects: inout [Effect]) {
        guard let index = evidence.firstIndex(where: { $0.subject == id }) else { return }
        let refuted = evidence.remove(at: index)
        guard refuted.isOwn, !refuted.hasInsisted, let record = table[id] else { return }
        evidence[place(of: id)].hasInsisted = true
        testify(id, incarnation: record.incarnation, by: own.id.name, at: now, into: &effects)
    }

    /// Declares dead whose exit is proven by now, and says so of those declared dead before.
    mutating func settleProofs(at now: Instant, into effects: inout [Effect]) {
        guard phase == .active else { return }
        // A death may take away the last one to be asked about others; but who is buried here was none of those.
        let mayAsk = table.rows.contains { $0.state.isLiving && !hasProof(of: $0.id, by: own.id.name) }
        while let index = evidence.firstIndex(where: { $0.isOwn && !($0.witnesses.isEmpty && mayAsk) }) {
            let id = evidence.remove(at: index).subject
            guard var record = table[id], isOpen(record) else { continue }
            if record.state.isLiving {
                declareDead(id, isProven: true, at: now, into: &effects)
            } else {
                record.isExitProven = true
                amend(record, by: Rumor(record, toldBy: own.id.name), into: &effects)
            }
        }
        evidence = evidence.filter { item in table[item.subject].map(isOpen) ?? false }
    }

    /// Adds to a death that it is proven.
    mutating func amend(_ record: MemberRecord, by rumor: Rumor, into effects: inout [Effect]) {
        table.put(record)
        queue.enqueue(rumor)
        isUrgent = true
        effects.append(.memberChanged(record, was: record.state))
    }
}

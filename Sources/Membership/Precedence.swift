import Primitives

/// What a rumor does to the member table: the rules of precedence, and what follows from a change of state.
extension Membership {
    /// Who told something: a rumor's way here.
    struct Teller {
        let id: NodeID
        let viewNumber: UInt64
    }

    /// - Parameter corrections: what the teller should hear, since its news is out of date.
    mutating func learn(
        _ rumor: Rumor, from teller: Teller, corrections: inout [Rumor], at now: Instant,
        into effects: inout [Effect]
    ) {
        let id = rumor.subject
        guard id.name != own.id.name else {
            return hearOfMyself(rumor, from: teller, corrections: &corrections, at: now, into: &effects)
        }
        guard let known = table[id.name] else { return admit(rumor, at: now, into: &effects) }
        if id.generation < known.id.generation {
            if rumor.state.isLiving { corrections.append(Rumor(known, toldBy: own.id.name)) }
        } else if id.generation > known.id.generation {
            // Whatever is said of it: that it exists means that the older one is gone.
            if known.state.isLiving {
                bury(
                    known, as: .dead(known.id, known.incarnation, by: own.id.name, isProven: false), at: now,
                    into: &effects)
            }
            admit(rumor, at: now, into: &effects)
        } else {
            update(known, by: rumor, corrections: &corrections, at: now, into: &effects)
        }
    }

    /// A generation that was not known. Only its own word, which has the profile, brings it in.
    private mutating func admit(_ rumor: Rumor, at now: Instant, into effects: inout [Effect]) {
        guard case .alive(let id, let incarnation, let profile) = rumor else { return }
        guard livingCount < settings.members else {
            refusedMembers += 1
            return
        }
        if table.livingCount == 0 { endLoneliness(at: now) }
        let record = MemberRecord(id: id, profile: profile, incarnation: incarnation, since: now)
        table.put(record)
        order.insert(id.name, using: &random)
        queue.enqueue(rumor)
        effects.append(.memberChanged(record, was: nil))
    }

    private mutating func update(
        _ known: MemberRecord, by rumor: Rumor, corrections: inout [Rumor], at now: Instant,
        into effects: inout [Effect]
    ) {
        switch (rumor, known.state) {
        case (.alive(_, let incarnation, let profile), .alive), (.alive(_, let incarnation, let profile), .suspect):
            guard incarnation > known.incarnation else { return }
            revive(known, incarnation: incarnation, profile: profile, at: now, into: &effects)
            queue.enqueue(rumor)
            weighRefutation(of: known.id, at: now, into: &effects)
        case (.suspect(_, let incarnation, let accuser, let hasProof), .alive),
            (.suspect(_, let incarnation, let accuser, let hasProof), .suspect):
            guard incarnation >= known.incarnation, accuser != known.id.name else { return }
            // In between, the suspect refuted what was held against it here.
            let isRefuted = incarnation > known.incarnation
            let counts = hasProof && isWitness(accuser, against: known.id)
            if !counts || isRefuted {
                suspect(known, incarnation: incarnation, by: accuser, at: now, into: &effects)
            }
            if isRefuted { weighRefutation(of: known.id, at: now, into: &effects) }
            if counts { testify(known.id, incarnation: incarnation, by: accuser, at: now, into: &effects) }
        case (.suspect(_, let incarnation, let accuser, let hasProof), .dead):
            guard hasProof, incarnation >= known.incarnation, isWitness(accuser, against: known.id) else { return }
            testify(known.id, incarnation: incarnation, by: accuser, at: now, into: &effects)
        case (.dead, .dead):
            guard rumor.hasProof, !known.isExitProven else { return }
            var record = known
            record.isExitProven = true
            amend(record, by: rumor, into: &effects)
        case (.dead, .alive), (.dead, .suspect), (.left, .alive), (.left, .suspect), (.left, .dead):
            bury(known, as: rumor, at: now, into: &effects)
        case (.alive, .dead), (.alive, .left):
            #if PLANTED_BUGS
            if PlantedBug.isActive(.tombstoneForgotten), known.state == .dead {
                return admit(rumor, at: now, into: &effects)
            }
            #endif
            corrections.append(Rumor(known, toldBy: own.id.name))
        case (.suspect, .left), (.dead, .left), (.left, .left):
            return
        }
    }

    private mutating func revive(
        _ known: MemberRecord, incarnation: Incarnation, profile: MemberProfile, at now: Instant,
        into effects: inout [Effect]
    ) {
        var record = known
        record.incarnation = incarnation
        record.profile = profile
        if known.state == .suspect {
            record.state = .alive
            record.since = now
            suspicions.removeAll { $0.subject == known.id }
        }
        table.put(record)
        if record.state != known.state || record.profile != known.profile {
            effects.append(.memberChanged(record, was: known.state))
        }
    }

    /// Begins or confirms a suspicion, by this node's own evidence or by what `accuser` says. Spreads it if it is news.
    mutating func suspect(
        _ known: MemberRecord, incarnation: Incarnation, by accuser: NodeName, hasProof: Bool = false,
        isNewProof: Bool = false, at now: Instant, into effects: inout [Effect]
    ) {
        var record = known
        record.incarnation = max(known.incarnation, incarnation)
        var isNews = record.incarnation > known.incarnation
        if let index = suspicions.firstIndex(where: { $0.subject == known.id }) {
            isNews = suspicions[index].confirm(by: accuser, at: now) || isNews
        } else {
            let shortest = settings.shortestSuspicion(members: livingCount, at: pace)
            suspicions.append(
                Suspicion(
                    of: known.id, at: now, by: accuser, shortest: shortest,
                    longest: shortest * (settings.hasLifeguard ? settings.suspicionSpread : 1), grace: pace.probe,
                    needed: settings.confirmationsNeeded(members: livingCount)))
            record.state = .suspect
            record.since = now
            isNews = true
        }
        if hasProof, let index = suspicions.firstIndex(where: { $0.subject == known.id }) {
            suspicions[index].prove(at: now)
        }
        table.put(record)
        if known.state == .alive { effects.append(.memberChanged(record, was: .alive)) }
        guard isNews || isNewProof else { return }
        let rumor = Rumor.suspect(record.id, record.incarnation, by: accuser, hasProof: hasProof)
        queue.enqueue(rumor)
        if accuser == own.id.name, settings.hasLifeguard {
            // The sooner it knows, the sooner it can refute.
            send(.gossip, to: record.profile.gossip, first: [rumor], into: &effects)
        }
    }

    /// Makes a generation `dead` or `left`, for good.
    mutating func bury(_ known: MemberRecord, as rumor: Rumor, at now: Instant, into effects: inout [Effect]) {
        var record = known
        record.state = rumor.state
        record.since = now
        record.incarnation = max(known.incarnation, rumor.incarnation)
        if case .dead(_, _, _, isProven: true) = rumor { record.isExitProven = true }
        table.put(record)
        order.remove(known.id.name)
        suspicions.removeAll { $0.subject == known.id }
        probes.removeAll { $0.target == known.id }
        queue.enqueue(rumor)
        isUrgent = true
        effects.append(.memberChanged(record, was: known.state))
        if table.livingCount == 0, known.state.isLiving { beginLoneliness(at: now) }
    }

    /// Suspicions whose time is up.
    mutating func endSuspicions(at now: Instant, into effects: inout [Effect]) {
        for suspicion in suspicions where suspicion.deadline <= now {
            #if PLANTED_BUGS
            if PlantedBug.isActive(.suspicionTakenForProof) {
                declareDead(suspicion.subject, isProven: true, at: now, into: &effects)
            }
            #endif
            declareDead(suspicion.subject, isProven: false, at: now, into: &effects)
        }
    }

    mutating func declareDead(_ id: NodeID, isProven: Bool, at now: Instant, into effects: inout [Effect]) {
        suspicions.removeAll { $0.subject == id }
        guard let known = table[id], known.state.isLiving else { return }
        let rumor = Rumor.dead(id, known.incarnation, by: own.id.name, isProven: isProven)
        bury(known, as: rumor, at: now, into: &effects)
        // Should it be there after all, it has to know.
        send(.gossip, to: known.profile.gossip, first: [rumor], into: &effects)
    }
}

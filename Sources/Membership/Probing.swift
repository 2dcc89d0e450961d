import Primitives

/// The protocol period: pings, pings through others, and what their outcome says of the target and of this node.
extension Membership {
    mutating func beginPeriod(at now: Instant, into effects: inout [Effect]) {
        nextPeriod = now + health.scaled(settings.period)
        courtesies = 0
        var target: Int?
        for _ in 0..<order.count {
            guard let name = order.next(using: &random), let index = table.index(of: name) else { continue }
            let id = table.rows[index].id
            guard !probes.contains(where: { $0.target == id }) else { continue }
            target = index
            startProbe(of: index, at: now, into: &effects)
            break
        }
        if settings.hasLifeguard { probeSuspect(at: now, into: &effects) }
        gossip(to: settings.fanout, except: target, into: &effects)
    }

    /// Every observer asks a suspect itself, that whose time is up first: its ping tells the accusation, the ack brings
    /// the refutation. One in a period, however many suspects there are.
    private mutating func probeSuspect(at now: Instant, into effects: inout [Effect]) {
        guard !suspicions.isEmpty else { return }
        let next = suspicions.filter { suspicion in !probes.contains { $0.target == suspicion.subject } }
            .min { $0.deadline < $1.deadline }
        if let next, let index = table.index(of: next.subject.name) { startProbe(of: index, at: now, into: &effects) }
    }

    /// Starts a probe round unless one is under way.
    mutating func startProbe(of index: Int, at now: Instant, into effects: inout [Effect]) {
        let id = table.rows[index].id
        guard table.rows[index].state.isLiving, probes.count < MembershipLimits.probes,
            !probes.contains(where: { $0.target == id })
        else { return }
        let sequence = takeSequence()
        probes.append(
            Probe(
                target: id, sequence: sequence, startedAt: now,
                directDeadline: now + health.scaled(pace.timeout),
                end: now + health.scaled(pace.probe)))
        send(
            .ping(sequence: sequence, target: id), to: table.rows[index].profile.gossip,
            first: accusation(of: id), into: &effects)
    }

    /// The buddy system: a suspect hears of it with every ping.
    func accusation(of id: NodeID) -> [Rumor] {
        guard settings.hasLifeguard, let suspicion = suspicions.first(where: { $0.subject == id }),
            let record = table[id]
        else { return [] }
        let accuser = suspicion.accusers.first ?? own.id.name
        return [.suspect(id, record.incarnation, by: accuser, hasProof: hasProof(of: id, by: accuser))]
    }

    mutating func advanceProbes(at now: Instant, into effects: inout [Effect]) {
        guard !probes.isEmpty else { return }
        for index in probes.indices where probes[index].directDeadline.map({ $0 <= now }) ?? false {
            askHelpers(probes[index].sequence, into: &effects)
            askAgain(index, at: now, into: &effects)
        }
        let failed = probes.filter { $0.end <= now }
        guard !failed.isEmpty else { return }
        probes.removeAll { $0.end <= now }
        for probe in failed { conclude(probe, at: now, into: &effects) }
    }

    private mutating func askHelpers(_ sequence: UInt32, into effects: inout [Effect]) {
        guard let index = probes.firstIndex(where: { $0.sequence == sequence }) else { return }
        probes[index].directDeadline = nil
        guard let target = table[probes[index].target] else { return }
        let candidates = table.livingIndices.filter { table.rows[$0].state == .alive && table.rows[$0].id != target.id }
        let helpers = pick(settings.indirectProbes, of: candidates)
        probes[index].helpers = helpers.map { table.rows[$0].id.name }
        let request = GossipMessage.Body.pingRequest(
            sequence: sequence, target: target.id, address: target.profile.gossip)
        let accusation = accusation(of: target.id)
        for helper in helpers {
            send(request, to: table.rows[helper].profile.gossip, first: accusation, into: &effects)
        }
    }

    /// Helpers that are missing are made up for: where there is none, as among two, the target is pinged again at every
    /// timeout until the end of the probe, and once where there are too few.
    private mutating func askAgain(_ index: Int, at now: Instant, into effects: inout [Effect]) {
        let probe = probes[index]
        guard probe.helpers.count < settings.indirectProbes, let target = table.index(of: probe.target.name) else {
            return
        }
        if probe.helpers.isEmpty { probes[index].directDeadline = now + health.scaled(pace.timeout) }
        send(
            .ping(sequence: probe.sequence, target: probe.target), to: table.rows[target].profile.gossip,
            first: accusation(of: probe.target), into: &effects)
    }

    /// No ack came. Helpers that did not even send a nack hint at a fault of this node's own (Lifeguard, IV-A).
    private mutating func conclude(_ probe: Probe, at now: Instant, into effects: inout [Effect]) {
        health.worsen(by: probe.helpers.isEmpty ? 1 : probe.helpers.count - probe.nacks.count)
        guard let record = table[probe.target], record.state.isLiving else { return }
        suspect(record, incarnation: record.incarnation, by: own.id.name, at: now, into: &effects)
    }

    mutating func hearAck(
        _ sequence: UInt32, of member: NodeID, from sender: NodeID, at now: Instant, into effects: inout [Effect]
    ) {
        if let index = relays.firstIndex(where: { $0.sequence == sequence }) {
            guard relays[index].target == member, sender == member else { return }
            let relay = relays.remove(at: index)
            // The target's refutation, if it made one, has just been learnt.
            let record = table[member].flatMap { $0.state == .alive ? [Rumor($0, toldBy: own.id.name)] : nil }
            send(
                .ack(sequence: relay.originSequence, of: member), to: relay.origin, first: record ?? [],
                into: &effects)
        } else if let index = probes.firstIndex(where: { $0.sequence == sequence }) {
            guard probes[index].target == member, sender == member || probes[index].helpers.contains(sender.name)
            else { return }
            let startedAt = probes[index].startedAt
            probes.swapAt(index, probes.count - 1)
            probes.removeLast()
            health.improve()
            if sender == member, roundTrip.sample(now - startedAt) {
                pace = Pace(settings, roundTrip: roundTrip.median)
            }
        }
    }

    mutating func hearNack(_ sequence: UInt32, from sender: NodeID) {
        guard let index = probes.firstIndex(where: { $0.sequence == sequence }),
            probes[index].helpers.contains(sender.name), !probes[index].nacks.contains(sender.name)
        else { return }
        probes[index].nacks.append(sender.name)
    }

    /// Nobody listens where a member should: that confirms another's proof; without one there is no use in waiting for
    /// its ack.
    mutating func hearUnreachable(_ address: Address, at now: Instant, into effects: inout [Effect]) {
        guard phase == .active else { return }
        for index in table.rows.indices where table.rows[index].profile.gossip == address {
            let record = table.rows[index]
            if isAskedToConfirm(record.id) {
                testify(record.id, incarnation: record.incarnation, by: own.id.name, at: now, into: &effects)
            } else if !record.state.isLiving {
                continue
            } else if let probe = probes.first(where: { $0.target == record.id }) {
                if probe.directDeadline != nil { askHelpers(probe.sequence, into: &effects) }
            } else {
                startProbe(of: index, at: now, into: &effects)
            }
        }
    }

    // MARK: Pings on behalf of others

    mutating func relay(
        _ sequence: UInt32, target: NodeID, at address: Address, origin: Address, now: Instant,
        into effects: inout [Effect]
    ) {
        guard phase == .active else { return }
        if target == own.id {
            return send(.ack(sequence: sequence, of: own.id), to: origin, into: &effects)
        }
        if let index = table.index(of: target.name), isOver(target, index) {
            return send(
                settings.hasLifeguard ? .nack(sequence: sequence) : .gossip, to: origin,
                first: [Rumor(table.rows[index], toldBy: own.id.name)], into: &effects)
        }
        guard relays.count < MembershipLimits.relays else {
            if settings.hasLifeguard { send(.nack(sequence: sequence), to: origin, into: &effects) }
            return
        }
        let ping = takeSequence()
        relays.append(
            Relay(
                target: target, sequence: ping, origin: origin, originSequence: sequence,
                nackDeadline: settings.hasLifeguard ? now + pace.nackDelay : nil,
                end: now + pace.probe * settings.healthLevels))
        send(
            .ping(sequence: ping, target: target), to: table[target]?.profile.gossip ?? address,
            first: accusation(of: target), into: &effects)
    }

    mutating func answerRelays(at now: Instant, into effects: inout [Effect]) {
        guard !relays.isEmpty else { return }
        for index in relays.indices where relays[index].nackDeadline.map({ $0 <= now }) ?? false {
            relays[index].nackDeadline = nil
            send(.nack(sequence: relays[index].originSequence), to: relays[index].origin, into: &effects)
        }
        relays.removeAll { $0.end <= now }
    }

    mutating func takeSequence() -> UInt32 {
        defer { nextSequence &+= 1 }
        return nextSequence
    }
}

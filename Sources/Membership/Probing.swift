import Primitives

/// The protocol period: pings, pings through others, and what their outcome says of the target and of this node.
extension Membership {
    mutating func beginPeriod(at now: Instant, into effects: inout [Effect]) {
        nextPeriod = now + health.scaled(settings.period)
        courtesies = 0
        var target: MemberRecord?
        for _ in 0..<order.count {
            guard let name = order.next(using: &random), let record = table[name] else { continue }
            guard !probes.contains(where: { $0.target == record.id }) else { continue }
            target = record
            break
        }
        if let target { startProbe(of: target, at: now, into: &effects) }
        gossip(to: settings.fanout, except: target?.id, into: &effects)
    }

    /// Starts a probe round unless one is under way.
    mutating func startProbe(of record: MemberRecord, at now: Instant, into effects: inout [Effect]) {
        guard record.state.isLiving, probes.count < MembershipLimits.probes,
            !probes.contains(where: { $0.target == record.id })
        else { return }
        let sequence = takeSequence()
        probes.append(
            Probe(
                target: record.id, sequence: sequence,
                directDeadline: now + health.scaled(settings.probeTimeout),
                end: now + health.scaled(settings.period)))
        send(
            .ping(sequence: sequence, target: record.id), to: record.profile.gossip, first: accusation(of: record),
            into: &effects)
    }

    /// The buddy system: a suspect hears of it with every ping.
    private func accusation(of record: MemberRecord) -> [Rumor] {
        guard let suspicion = suspicions.first(where: { $0.subject == record.id }) else { return [] }
        let accuser = suspicion.accusers.first ?? own.id.name
        return [.suspect(record.id, record.incarnation, by: accuser, hasProof: suspicion.provers.contains(accuser))]
    }

    mutating func advanceProbes(at now: Instant, into effects: inout [Effect]) {
        for index in probes.indices where probes[index].directDeadline.map({ $0 <= now }) ?? false {
            askHelpers(probes[index].sequence, into: &effects)
        }
        let failed = probes.filter { $0.end <= now }
        probes.removeAll { $0.end <= now }
        for probe in failed { conclude(probe, at: now, into: &effects) }
    }

    private mutating func askHelpers(_ sequence: UInt32, into effects: inout [Effect]) {
        guard let index = probes.firstIndex(where: { $0.sequence == sequence }) else { return }
        probes[index].directDeadline = nil
        guard let target = table[probes[index].target] else { return }
        let candidates = table.rows.filter { $0.state == .alive && $0.id != target.id }
        let helpers = pick(settings.indirectProbes, of: candidates)
        probes[index].helpers = helpers.map(\.id.name)
        let request = GossipMessage.Body.pingRequest(
            sequence: sequence, target: target.id, address: target.profile.gossip)
        for helper in helpers { send(request, to: helper.profile.gossip, into: &effects) }
    }

    /// No ack came. Helpers that did not even send a nack hint at a fault of this node's own (Lifeguard, IV-A).
    private mutating func conclude(_ probe: Probe, at now: Instant, into effects: inout [Effect]) {
        health.worsen(by: probe.helpers.isEmpty ? 1 : probe.helpers.count - probe.nacks.count)
        guard let record = table[probe.target], record.state.isLiving else { return }
        suspect(
            record, incarnation: record.incarnation, by: own.id.name, hasProof: false, at: now, into: &effects)
    }

    mutating func hearAck(_ sequence: UInt32, of member: NodeID, from sender: NodeID, into effects: inout [Effect]) {
        if let index = relays.firstIndex(where: { $0.sequence == sequence }) {
            guard relays[index].target == member, sender == member else { return }
            let relay = relays.remove(at: index)
            // The target's refutation, if it made one, has just been learnt and goes along.
            send(.ack(sequence: relay.originSequence, of: member), to: relay.origin, into: &effects)
        } else if let index = probes.firstIndex(where: { $0.sequence == sequence }) {
            let probe = probes[index]
            guard probe.target == member, sender == member || probe.helpers.contains(sender.name) else { return }
            probes.remove(at: index)
            health.improve()
        }
    }

    mutating func hearNack(_ sequence: UInt32, from sender: NodeID) {
        guard let index = probes.firstIndex(where: { $0.sequence == sequence }),
            probes[index].helpers.contains(sender.name), !probes[index].nacks.contains(sender.name)
        else { return }
        probes[index].nacks.append(sender.name)
    }

    /// Nobody listens where a member should: no use in waiting for its ack.
    mutating func hearUnreachable(_ address: Address, at now: Instant, into effects: inout [Effect]) {
        guard phase == .active else { return }
        for record in table.living where record.profile.gossip == address {
            if let probe = probes.first(where: { $0.target == record.id }) {
                if probe.directDeadline != nil { askHelpers(probe.sequence, into: &effects) }
            } else {
                startProbe(of: record, at: now, into: &effects)
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
        if let known = table[target.name], isOver(target, known) {
            return send(
                .nack(sequence: sequence), to: origin, first: [Rumor(known, toldBy: own.id.name)], into: &effects)
        }
        guard relays.count < MembershipLimits.relays else {
            return send(.nack(sequence: sequence), to: origin, into: &effects)
        }
        let ping = takeSequence()
        relays.append(
            Relay(
                target: target, sequence: ping, origin: origin, originSequence: sequence,
                nackDeadline: now + settings.nackDelay, end: now + settings.period * settings.healthLevels))
        send(
            .ping(sequence: ping, target: target), to: table[target]?.profile.gossip ?? address,
            first: table[target].map(accusation) ?? [], into: &effects)
    }

    mutating func answerRelays(at now: Instant, into effects: inout [Effect]) {
        for index in relays.indices where relays[index].nackDeadline.map({ $0 <= now }) ?? false {
            relays[index].nackDeadline = nil
            send(.nack(sequence: relays[index].originSequence), to: relays[index].origin, into: &effects)
        }
        relays.removeAll { $0.end <= now }
    }

    private mutating func takeSequence() -> UInt32 {
        defer { nextSequence &+= 1 }
        return nextSequence
    }
}

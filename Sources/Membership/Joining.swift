import Primitives

/// Coming, going, and coming back.
extension Membership {
    mutating func join(_ addresses: [Address], at now: Instant, into effects: inout [Effect]) {
        for address in addresses where !seeds.contains(address) { seeds.append(address) }
        seeds.removeFirst(max(0, seeds.count - MembershipLimits.seeds))
        guard phase == .active else { return }
        reach(for: strangers(among: addresses), into: &effects)
        if table.livingCount == 0 { beginLoneliness(at: now) }
    }

    /// Alone: everybody who may be there. In company: a few of those who should be, so that a partition heals.
    mutating func rejoin(at now: Instant, into effects: inout [Effect]) {
        let dead = table.rows.filter { $0.state == .dead }.sorted { $0.since > $1.since }
        let candidates = strangers(among: seeds + dead.map(\.profile.gossip))
        if table.livingCount == 0 {
            joinAttempts += 1
            nextRejoin = now + settings.joinDelay(attempts: joinAttempts)
            reach(for: candidates, into: &effects)
        } else {
            nextRejoin = now + settings.rejoinInterval
            guard !candidates.isEmpty else { return }
            let count = min(MembershipLimits.reachedPerAttempt, candidates.count)
            let start = reachCursor % candidates.count
            reachCursor = start + count
            reach(for: (start..<start + count).map { candidates[$0 % candidates.count] }, into: &effects)
        }
    }

    /// Those addresses, once each, where no living member is.
    private func strangers(among addresses: [Address]) -> [Address] {
        var found: [Address] = []
        for address in addresses where address != own.profile.gossip && !found.contains(address) {
            guard !table.rows.contains(where: { $0.state.isLiving && $0.profile.gossip == address }) else { continue }
            found.append(address)
        }
        return found
    }

    /// Says with the join whom this node holds dead at that address, so that one of the two returns at once.
    private mutating func reach(for addresses: [Address], into effects: inout [Effect]) {
        for address in addresses.prefix(MembershipLimits.seeds) {
            awaitsWelcome = true
            let verdicts = table.rows.filter { $0.state == .dead && $0.profile.gossip == address }
                .map { Rumor($0, toldBy: own.id.name) }
            send(.join, to: address, first: [ownRumor] + verdicts, into: &effects)
        }
    }

    mutating func beginLoneliness(at now: Instant) {
        joinAttempts = 0
        nextRejoin = now + settings.joinDelay(attempts: 0)
    }

    mutating func endLoneliness(at now: Instant) { nextRejoin = now + settings.rejoinInterval }

    // MARK: Push-pull

    mutating func beginPushPull(at now: Instant, into effects: inout [Effect]) {
        nextPushPull = now + settings.pushPullInterval
        let horizon = now - settings.tombstoneLifetime
        table.removeTombstones { $0.since < horizon }
        let candidates = table.livingIndices.filter { table.rows[$0].state == .alive }
        if let peer = pick(1, of: candidates).first { effects.append(.pushPull(table.rows[peer].id)) }
    }

    mutating func merge(
        _ records: [MemberRecord], from peer: NodeID, at now: Instant, into effects: inout [Effect]
    ) {
        guard phase == .active, peer.name != own.id.name else { return }
        let teller = Teller(id: peer, viewNumber: records.first { $0.id == peer }?.viewNumber ?? 0)
        let isAccused = records.contains { $0.id == own.id && !$0.state.isLiving }
        if let index = table.index(of: peer.name), isOver(peer, index) {
            if isAccused, !outranks(teller) { condemn(by: teller, into: &effects) }
            return
        }
        guard !isAccused || table[peer] != nil || !outranks(teller) else { return }
        var corrections: [Rumor] = []
        for record in records.prefix(settings.members + MembershipLimits.tombstones) {
            learn(
                Rumor(record, toldBy: peer.name), from: teller, corrections: &corrections, at: now, into: &effects)
            if record.id.name != own.id.name { adopt(record, at: now, into: &effects) }
        }
        if !corrections.isEmpty, let address = table[peer]?.profile.gossip, spendCourtesy() {
            send(.gossip, to: address, first: corrections, into: &effects)
        }
    }

    /// What a record tells beyond a rumor: the end of a generation never met, and a load told more recently.
    private mutating func adopt(_ record: MemberRecord, at now: Instant, into effects: inout [Effect]) {
        let index = table.index(of: record.id.name)
        if !record.state.isLiving {
            // Tombstones keep their age on the way, or they would outlive themselves going round.
            let since = min(record.since, now)
            guard index.map({ table.rows[$0].id.generation < record.id.generation }) ?? true,
                since >= now - settings.tombstoneLifetime
            else { return }
            var tombstone = record
            tombstone.since = since
            tombstone.heardAt = record.heardAt.map { min($0, now) }
            table.put(tombstone)
        } else if let index, table.rows[index].id == record.id, table.rows[index].state.isLiving {
            guard let heardAt = record.heardAt.map({ min($0, now) }),
                table.rows[index].heardAt.map({ heardAt > $0 }) ?? true
            else { return }
            if table.hear(record.load, viewNumber: record.viewNumber, of: index, at: heardAt) {
                effects.append(.loadChanged(record.id, record.load, viewNumber: record.viewNumber))
            }
        }
    }

    // MARK: Leaving and returning

    mutating func leave(at now: Instant) {
        guard phase == .active else { return }
        own.state = .left
        own.since = now
        probes.removeAll()
        relays.removeAll()
        queue.enqueue(ownRumor)
        isUrgent = true
        phase = .leaving(next: now + settings.urgentInterval, rounds: 1)
    }

    mutating func sayFarewell(at now: Instant) {
        guard case .leaving(let next, let rounds) = phase, next <= now else { return }
        phase = .leaving(next: now + settings.urgentInterval, rounds: rounds + 1)
        isUrgent = true
    }

    /// Spread often enough, to nobody, or for long enough.
    mutating func endLeaveIfSpread(into effects: inout [Effect]) {
        guard case .leaving(_, let rounds) = phase else { return }
        guard table.livingCount == 0 || rounds > 8 || !queue.contains(ownRumor) else { return }
        phase = .gone
        effects.append(.left)
    }

    /// The new generation keeps whom the old one knew to live; suspects get their time anew. It forgets whom it held
    /// dead: it was cut off itself, and reaches for them again.
    mutating func restart(as id: NodeID, at now: Instant, into effects: inout [Effect]) {
        precondition(id.name == own.id.name && id.generation > own.id.generation, "a later generation of this name")
        own.id = id
        own.incarnation = Incarnation(0)
        own.state = .alive
        own.since = now
        phase = .active
        isCondemned = false
        rival = nil
        health = LocalHealth(levels: settings.localHealthLevels)
        probes.removeAll()
        relays.removeAll()
        evidence.removeAll()
        for index in suspicions.indices { suspicions[index].postpone(by: now - suspicions[index].startedAt) }
        queue.removeAll()
        let dead = table.rows.filter { $0.state == .dead }.map(\.profile.gossip)
        table.removeTombstones { $0.state == .dead }
        nextPeriod = now
        nextRejoin = now + settings.rejoinInterval
        nextPushPull = now + settings.pushPullInterval * Double.random(in: 0.5..<1, using: &random)
        queue.enqueue(ownRumor)
        isUrgent = true
        join(seeds + dead, at: now, into: &effects)
    }
}

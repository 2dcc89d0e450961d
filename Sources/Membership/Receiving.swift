import Primitives

/// What a datagram does.
extension Membership {
    mutating func receive(
        _ message: GossipMessage, from address: Address, at now: Instant, into effects: inout [Effect]
    ) {
        guard phase != .gone else { return }
        let sender = message.sender
        guard sender.name != own.id.name else { return noticeRival(sender, isItself: true, at: now, into: &effects) }
        var index = table.index(of: sender.name)
        if let index, isOver(sender, index) {
            return answerFormer(message, known: table.rows[index], from: address, into: &effects)
        }
        let isStranger = index.map { table.rows[$0].id.generation != sender.generation } ?? true
        let needsState = table.livingCount == 0 || awaitsWelcome && isStranger
        var corrections: [Rumor] = []
        if !message.rumors.isEmpty {
            let teller = Teller(id: sender, viewNumber: message.viewNumber)
            if isStranger, message.rumors.contains(where: isVerdictOnMyself), outranks(teller) {
                return turnAway(sender, at: address, into: &effects)
            }
            for rumor in message.rumors.prefix(GossipMessage.maximumRumors) where isHeeded(rumor, of: message) {
                learn(rumor, from: teller, corrections: &corrections, at: now, into: &effects)
            }
            index = table.index(of: sender.name)
        }
        let isKnown = hear(message, of: index, at: now, into: &effects)
        if case .ping(let sequence, own.id) = message.body {
            let farewell = phase == .active ? [] : [ownRumor]
            let news = farewell + corrections + accusation(of: sender)
            send(.ack(sequence: sequence, of: own.id), to: address, first: news, into: &effects)
        } else if !corrections.isEmpty, spendCourtesy() {
            send(.gossip, to: address, first: corrections, into: &effects)
        }
        answer(message, from: address, isKnown: isKnown, needsState: needsState, at: now, into: &effects)
    }

    /// That generation cannot come back: not believed, save that it may know better (`Accusation.swift`).
    /// - Parameter index: of the row of that name.
    func isOver(_ id: NodeID, _ index: Int) -> Bool {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.tombstoneForgotten) { return id.generation < table.rows[index].id.generation }
        #endif
        let known = table.rows[index].id.generation
        return id.generation < known || id.generation == known && !table.rows[index].state.isLiving
    }

    /// What strangers and those who join say to the detriment of others does not count: they have been away.
    private func isHeeded(_ rumor: Rumor, of message: GossipMessage) -> Bool {
        if rumor.state == .alive || rumor.subject.name == own.id.name { return true }
        return message.body != .join
            && table.index(of: message.sender.name).map { table.rows[$0].id == message.sender } ?? false
    }

    /// A stranger that believes this node dead: it is the one that was away.
    private mutating func turnAway(_ stranger: NodeID, at address: Address, into effects: inout [Effect]) {
        guard spendCourtesy() else { return }
        let verdict = Rumor.dead(stranger, Incarnation(0), by: own.id.name, isProven: false)
        send(.gossip, to: address, first: [verdict], into: &effects)
    }

    private mutating func answerFormer(
        _ message: GossipMessage, known: MemberRecord, from address: Address, into effects: inout [Effect]
    ) {
        let teller = Teller(id: message.sender, viewNumber: message.viewNumber)
        if message.rumors.contains(where: isVerdictOnMyself), !outranks(teller) {
            condemn(by: teller, into: &effects)
        } else if spendCourtesy() {
            send(.gossip, to: address, first: [Rumor(known, toldBy: own.id.name)], into: &effects)
        }
    }

    /// Takes load and view number from the header. Whether the sender is a living member.
    private mutating func hear(
        _ message: GossipMessage, of index: Int?, at now: Instant, into effects: inout [Effect]
    ) -> Bool {
        guard let index, table.rows[index].id.generation == message.sender.generation,
            table.rows[index].state.isLiving
        else { return false }
        if table.hear(message.load, viewNumber: message.viewNumber, of: index, at: now) {
            effects.append(.loadChanged(message.sender, message.load, viewNumber: message.viewNumber))
        }
        return true
    }

    private mutating func answer(
        _ message: GossipMessage, from address: Address, isKnown: Bool, needsState: Bool, at now: Instant,
        into effects: inout [Effect]
    ) {
        switch message.body {
        case .ping(_, let target):
            // For another generation of this name.
            if target.name == own.id.name, target != own.id, spendCourtesy() {
                send(.gossip, to: address, first: [ownRumor], into: &effects)
            }
        case .pingRequest(let sequence, let target, let targetAddress):
            relay(
                sequence, target: target, at: targetAddress, origin: address, now: now, into: &effects)
        case .ack(let sequence, let member):
            hearAck(sequence, of: member, from: message.sender, at: now, into: &effects)
        case .nack(let sequence):
            hearNack(sequence, from: message.sender)
        case .join:
            if phase == .active, spendCourtesy() { send(welcome(), to: address, into: &effects) }
            return
        case .welcome:
            if isKnown, needsState {
                awaitsWelcome = false
                effects.append(.pushPull(message.sender))
            }
            return
        case .gossip: break
        }
        // Somebody whom this node does not know: each introduces itself to the other.
        if !isKnown, phase == .active, spendCourtesy() {
            send(.join, to: address, first: [ownRumor], into: &effects)
        }
    }
}

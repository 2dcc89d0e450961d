import Primitives

/// Messages and what rides on them.
extension Membership {
    /// - Parameter first: rumors that this message is for; those of the queue follow as far as they fit.
    mutating func send(
        _ body: GossipMessage.Body, to address: Address, first: [Rumor] = [], into effects: inout [Effect]
    ) {
        if first.isEmpty, queue.isEmpty {
            let message = GossipMessage(sender: own.id, load: own.load, viewNumber: own.viewNumber, body: body)
            return effects.append(.send(message, to: address))
        }
        var message = GossipMessage(sender: own.id, load: own.load, viewNumber: own.viewNumber, body: body)
        var rest = GossipMessage.budget - message.encodedBytesWithoutRumors
        for rumor in first.prefix(GossipMessage.maximumRumors) where rumor.encodedBytes <= rest {
            rest -= rumor.encodedBytes
            message.rumors.append(rumor)
        }
        message.rumors += queue.take(
            fitting: rest, sendingLimit: settings.retransmitLimit(members: livingCount), excluding: message.rumors)
        effects.append(.send(message, to: address))
    }

    mutating func send(_ message: GossipMessage, to address: Address, into effects: inout [Effect]) {
        effects.append(.send(message, to: address))
    }

    /// Sends what news there is to some living members, and the load in any case. Those of whose end there is some
    /// proof are left out: a rumor is sent so often and no more.
    ///
    /// - Parameter excluded: an index of the table.
    mutating func gossip(to fanout: Int, except excluded: Int? = nil, into effects: inout [Effect]) {
        let count = table.livingCount
        guard count > 0 else { return }
        func isLeftOut(_ index: Int) -> Bool {
            index == excluded || !evidence.isEmpty && evidence.contains { $0.subject == table.rows[index].id }
        }
        var candidates = table.livingIndices.count { !isLeftOut($0) }
        var rest = min(fanout, candidates)
        // Each as likely as any other (Knuth, algorithm S), from a random place on, since the last may get less news.
        var place = Int.random(in: 0..<count, using: &random)
        while rest > 0 {
            let index = table.livingIndices[place]
            place = place + 1 < count ? place + 1 : 0
            if isLeftOut(index) { continue }
            if rest == candidates || Int.random(in: 0..<candidates, using: &random) < rest {
                send(.gossip, to: table.rows[index].profile.gossip, into: &effects)
                rest -= 1
            }
            candidates -= 1
        }
    }

    /// This node, and as many living members as fit, chosen at random: those who join together meet more quickly.
    mutating func welcome() -> GossipMessage {
        var message = GossipMessage(
            sender: own.id, load: own.load, viewNumber: own.viewNumber, body: .welcome, rumors: [ownRumor])
        var rest = GossipMessage.budget - message.encodedBytes
        for index in pick(GossipMessage.maximumRumors - 1, of: table.livingIndices) {
            let rumor = Rumor(table.rows[index], toldBy: own.id.name)
            guard rumor.encodedBytes <= rest else { continue }
            rest -= rumor.encodedBytes
            message.rumors.append(rumor)
        }
        return message
    }

    /// At most `count` of `candidates` (indices of the table), in random order.
    mutating func pick(_ count: Int, of candidates: [Int]) -> ArraySlice<Int> {
        var rest = candidates
        let taken = min(count, rest.count)
        for place in 0..<taken { rest.swapAt(place, Int.random(in: place..<rest.count, using: &random)) }
        return rest[..<taken]
    }

    /// Whether an answer that nobody waits for may still be sent in this period: no flood of nonsense becomes two.
    mutating func spendCourtesy() -> Bool {
        guard courtesies < MembershipLimits.courtesies else { return false }
        courtesies += 1
        return true
    }
}

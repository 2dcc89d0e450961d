import Primitives

/// Messages and what rides on them.
extension Membership {
    /// - Parameter first: rumors that this message is for; those of the queue follow as far as they fit.
    mutating func send(
        _ body: GossipMessage.Body, to address: Address, first: [Rumor] = [], into effects: inout [Effect]
    ) {
        var message = GossipMessage(sender: own.id, load: own.load, viewNumber: own.viewNumber, body: body)
        guard !first.isEmpty || !queue.isEmpty else { return effects.append(.send(message, to: address)) }
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

    /// Sends what news there is to some living members, and the load in any case. Those of whose end there is some proof
    /// are left out: a rumor is sent so often and no more.
    mutating func gossip(to fanout: Int, except excluded: NodeID? = nil, into effects: inout [Effect]) {
        let candidates =
            excluded == nil && evidence.isEmpty
            ? table.livingIndices
            : table.livingIndices.filter { index in
                let id = table.rows[index].id
                return id != excluded && !evidence.contains { $0.subject == id }
            }
        for index in pick(fanout, of: candidates) {
            send(.gossip, to: table.rows[index].profile.gossip, into: &effects)
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

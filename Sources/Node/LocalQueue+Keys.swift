import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// Tasks with keys whose home this node is, and keys that move from one home to another.
extension LocalQueue {
    /// `reply` once the decisions are committed; nil if they may be, and this node cannot tell.
    func decide(_ request: KeyedRequest, _ reply: @escaping @Sendable (KeyedReply?) -> Void) {
        guard !isDraining, !owner.isPaused else { return reply(.unavailable) }
        let (isDiskFull, isCongested) = node.colleagues.ledgers.onLoop { ($0.isFull, $0.isCongested) }
        guard !isDiskFull else { return reply(.diskFull(folder: node.configuration.dataDirectory)) }
        let retryAfter = UInt32(clamping: owner.retryAfter(request.specs))
        guard !isCongested else { return reply(.full(retryAfter: retryAfter)) }
        let decided = Decided()
        let number = self.request { [self] isCommitted in
            onLoop { queue in
                reply(
                    isCommitted
                        ? .decided(decided.decisions, holders: queue.owner.holders(of: request.home)) : nil)
            }
        }
        do throws(KeyedRefusal) {
            decided.decisions = try owner.submit(
                request.specs, ids: request.ids, isAgain: request.isAgain, home: request.home, request: number,
                at: node.now)
            turn()
        } catch {
            forget(number)
            switch error {
            case .notHome: reply(.notHome)
            case .moving: reply(.moving)
            case .full: reply(.full(retryAfter: retryAfter))
            }
        }
    }

    /// Another home hands over what it knows of some keys.
    func take(_ shipment: KeyShipment, _ reply: @escaping @Sendable (Bool) -> Void) {
        let number = request { reply($0) }
        guard owner.take(shipment, request: number) else {
            forget(number)
            return reply(false)
        }
        turn()
    }

    func ship(_ shipment: KeyShipment) {
        node.logger.debug(
            "keys move",
            metadata: [
                "from": "\(shipment.from)", "to": "\(shipment.to)", "keys": "\(shipment.bindings.count)",
                "view": "\(shipment.view)",
            ])
        guard let primary = view?.ledger(shipment.to)?.primary else { return shipped(shipment, false) }
        if primary.name == node.name {
            return take(shipment) { [self] isBound in onLoop { $0.shipped(shipment, isBound) } }
        }
        guard let peer = node.peers[primary.name] else { return shipped(shipment, false) }
        node.transport.request(
            Frame(.ship, at: node.now) { $0.keyShipment(shipment) }, to: peer, within: .seconds(2)
        ) { [self] result in
            var isBound = false
            if case .success(let frame) = result {
                isBound = (try? frame.read(at: node.now) { reader throws(WireError) in try reader.bool() }) ?? false
            }
            onLoop { $0.shipped(shipment, isBound) }
        }
    }

    private func shipped(_ shipment: KeyShipment, _ isBound: Bool) {
        owner.shipped(shipment, isBound: isBound, into: &effects)
        turn()
    }
}

/// Filled in by the call that makes a request, read when the request is answered. Only on the loop.
private final class Decided: @unchecked Sendable { var decisions: [KeyedDecision] = [] }

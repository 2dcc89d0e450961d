import Peers
import Primitives
import Synchronization

/// What a delegate was told.
enum Told: Hashable, Sendable {
    case request(Frame, NodeID)
    case message(Frame, NodeID)
    case linkUp(NodeID, UInt16)
    case linkDown(NodeID, LinkEnd)
    case processGone(NodeID)
    case event(PeerEvent)
}

/// Writes down every call in order, and answers requests as it is told to: with an echo if it is told nothing.
final class Recorder: PeerDelegate {
    private struct Waiter {
        let id: Int
        let condition: @Sendable ([Told]) -> Bool
        let continuation: CheckedContinuation<Bool, Never>
    }
    private struct State {
        var told: [Told] = []
        var waiters: [Waiter] = []
        var lastWaiter = 0
    }

    private let state = Mutex(State())
    private let respond: @Sendable (Frame, NodeID, @escaping PeerReply) -> Void

    init(
        _ respond: @escaping @Sendable (Frame, NodeID, @escaping PeerReply) -> Void = { frame, _, reply in reply(frame)
        }
    ) {
        self.respond = respond
    }

    var told: [Told] { state.withLock { $0.told } }

    private func note(_ told: Told) {
        let ready = state.withLock { state in
            state.told.append(told)
            let all = state.told
            let ready = state.waiters.filter { $0.condition(all) }
            state.waiters.removeAll { waiter in ready.contains { $0.id == waiter.id } }
            return ready
        }
        for waiter in ready { waiter.continuation.resume(returning: true) }
    }

    /// Waits until what was told fulfils `condition`.
    /// - Returns: false if that did not happen within `limit`.
    func sees(
        within limit: Duration = .seconds(5), _ condition: @escaping @Sendable ([Told]) -> Bool
    ) async -> Bool {
        await withCheckedContinuation { continuation in
            let id = state.withLock { state -> Int? in
                if condition(state.told) { return nil }
                state.lastWaiter += 1
                state.waiters.append(Waiter(id: state.lastWaiter, condition: condition, continuation: continuation))
                return state.lastWaiter
            }
            guard let id else { return continuation.resume(returning: true) }
            Task {
                try await Task.sleep(for: limit)
                let late = self.state.withLock { state in
                    let late = state.waiters.filter { $0.id == id }
                    state.waiters.removeAll { $0.id == id }
                    return late
                }
                for waiter in late { waiter.continuation.resume(returning: false) }
            }
        }
    }

    func sees(_ told: Told, within limit: Duration = .seconds(5)) async -> Bool {
        await sees(within: limit) { $0.contains(told) }
    }

    func received(request: Frame, from peer: NodeID, reply: @escaping PeerReply) {
        note(.request(request, peer))
        respond(request, peer, reply)
    }
    func received(message: Frame, from peer: NodeID) { note(.message(message, peer)) }
    func linkUp(_ peer: NodeID, version: UInt16) { note(.linkUp(peer, version)) }
    func linkDown(_ peer: NodeID, _ reason: LinkEnd) { note(.linkDown(peer, reason)) }
    func processGone(_ peer: NodeID) { note(.processGone(peer)) }
    func peerEvent(_ event: PeerEvent) { note(.event(event)) }
}

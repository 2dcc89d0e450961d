import EventLoop
import NIOCore
import Primitives
import Synchronization

/// What the loop asks of the NIO side.
enum Command: Sendable {
    case identity(NodeID, ClusterID?)
    case peers([Lane])
    case request(Frame, Lane, deadline: NIODeadline, PeerCompletion)
    case message(Frame, Lane)
    case introduction(Frame, Address, deadline: NIODeadline, @Sendable (Result<Introduction, PeerError>) -> Void)
    case answer(Frame, connection: UInt64, number: UInt32)
}

/// What both threads know of the link to one peer. A peer that is dropped and listed again, or that moves to another
/// address, gets a new one.
final class Lane: Sendable {
    let peer: Peer
    /// Bytes handed over for this peer which the kernel has not taken yet.
    let queuedBytes = Atomic<Int>(0)
    /// Whether frames are taken: there is a link, or one is being dialled.
    let isOpen = Atomic<Bool>(true)

    init(_ peer: Peer) { self.peer = peer }

    /// Counts `bytes` in, unless they would be too many.
    func takes(_ bytes: Int, limit: Int) -> Bool {
        guard queuedBytes.load(ordering: .relaxed) + bytes <= limit else { return false }
        queuedBytes.add(bytes, ordering: .relaxed)
        return true
    }

    func released(_ bytes: Int) { queuedBytes.subtract(bytes, ordering: .relaxed) }
}

/// Carries commands from the loop to the NIO thread: everything that one turn of the loop says crosses in one batch, in
/// order, with one wake-up.
final class Outbox: Sendable {
    private struct State {
        var commands: [Command] = []
        var lanes: [NodeID: Lane] = [:]
        var isFlushDue = false
        var phase = Phase.notStarted
        var wake: (@Sendable () -> Void)?
    }
    private enum Phase { case notStarted, running, closed }

    private let state = Mutex(State())
    private let scheduler: any Scheduler

    init(scheduler: any Scheduler) { self.scheduler = scheduler }

    /// From now on `wake` is called, once per turn of the loop, when there is something to take.
    func start(_ wake: @escaping @Sendable () -> Void) {
        let isBacklog = state.withLock {
            guard case .notStarted = $0.phase else { return false }
            $0.phase = .running
            $0.wake = wake
            return !$0.commands.isEmpty
        }
        if isBacklog { wake() }
    }

    /// - Returns: false if it was closed before.
    func close() -> Bool {
        state.withLock {
            if case .closed = $0.phase { return false }
            $0.phase = .closed
            $0.wake = nil
            $0.lanes = [:]
            return true
        }
    }

    var isRunning: Bool { state.withLock { $0.phase == .running } }

    /// What has been put since the last call.
    func take() -> [Command] {
        state.withLock {
            let commands = $0.commands
            $0.commands = []
            $0.isFlushDue = false
            return commands
        }
    }

    func lane(to peer: NodeID) -> Lane? { state.withLock { $0.lanes[peer] } }

    func setPeers(_ peers: [Peer]) {
        put { state in
            var lanes: [NodeID: Lane] = [:]
            for peer in peers {
                if let known = state.lanes[peer.id], known.peer == peer {
                    lanes[peer.id] = known
                } else {
                    lanes[peer.id] = Lane(peer)
                }
            }
            state.lanes = lanes
            return .peers(lanes.values.sorted { $0.peer.id < $1.peer.id })
        }
    }

    /// - Returns: false if the transport does not run; `command` is dropped then.
    @discardableResult
    func put(_ command: Command) -> Bool {
        switch command {
        case .identity, .peers: put { _ in command }
        case .request, .message, .introduction, .answer: put(onlyIfRunning: true) { _ in command }
        }
    }

    @discardableResult
    private func put(onlyIfRunning: Bool = false, _ make: (inout State) -> Command) -> Bool {
        let (isTaken, isFirst) = state.withLock { state -> (Bool, Bool) in
            switch state.phase {
            case .closed: return (false, false)
            case .notStarted where onlyIfRunning: return (false, false)
            case .notStarted:
                state.commands.append(make(&state))
                return (true, false)
            case .running:
                state.commands.append(make(&state))
                defer { state.isFlushDue = true }
                return (true, !state.isFlushDue)
            }
        }
        // After the jobs that the loop already has: what they say shares the wake-up.
        if isFirst { scheduler.execute { self.flush() } }
        return isTaken
    }

    private func flush() {
        // Under the lock: once `close` has returned, the NIO loop hears nothing more and may end.
        state.withLock { $0.wake?() }
    }
}

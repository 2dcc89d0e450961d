import Foundation
import Primitives
import Synchronization

/// What happens to frames from one host to another.
struct Wire: Hashable, Sendable {
    var isCut = false
    /// 0...1: of frames, which may be segments of up to 64 KiB.
    var loss = 0.0
    var delay = Duration.zero
    /// A random part on top of the delay: frames overtake each other.
    var jitter = Duration.zero
    /// 0...1
    var duplication = 0.0

    static let cut = Wire(isCut: true)
}

/// A switch in user space that loses, delays, duplicates and reorders: what the kernel's `netem` would do, which many
/// kernels come without. A frame goes to the port that the last byte of its address names, one to all goes to all
/// others.
///
/// A thread of its own reads all ports. `close` ends it.
final class VirtualSwitch: Sendable {
    private let ports: [PacketSocket]
    private let state: Mutex<State>

    fileprivate struct State {
        /// By sender, then by receiver.
        var wires: [[Wire]]
        var random: SeededGenerator
        var isClosed = false
    }

    /// Frames under way: more are lost, like in a switch whose buffer is full.
    private static let capacity = 50_000

    init(_ ports: [PacketSocket], seed: UInt64) {
        self.ports = ports
        let row = [Wire](repeating: Wire(), count: ports.count)
        state = Mutex(
            State(wires: [[Wire]](repeating: row, count: ports.count), random: SeededGenerator(seed: seed)))
        let thread = Thread { [self] in
            run()
            for port in ports { port.close() }
        }
        thread.name = "switch"
        thread.start()
    }

    func set(_ wire: Wire, from sender: Int, to receiver: Int) {
        state.withLock { $0.wires[sender][receiver] = wire }
    }

    func setAll(_ wire: Wire) {
        state.withLock { state in
            for sender in state.wires.indices {
                for receiver in state.wires.indices { state.wires[sender][receiver] = wire }
            }
        }
    }

    func close() { state.withLock { $0.isClosed = true } }

    // MARK: The thread

    private struct Delayed {
        var due: ContinuousClock.Instant
        var receiver: Int
        var frame: [UInt8]
    }

    private func run() {
        var waiting: [Delayed] = []
        var buffer = [UInt8](repeating: 0, count: PacketSocket.frameBytes)
        var polled = ports.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        while !state.withLock({ $0.isClosed }) {
            // Long enough to cost nothing, short enough to end soon.
            var patience = Duration.milliseconds(50)
            if let next = waiting.first { patience = min(patience, max(.zero, next.due - .now)) }
            let milliseconds = Int32((patience + .microseconds(999)) / .milliseconds(1))
            guard poll(&polled, nfds_t(polled.count), milliseconds) >= 0 || errno == EINTR else { return }
            for sender in ports.indices where polled[sender].revents != 0 {
                // A few of each port in turn. An error is that the interface is down: it goes on when it is up again.
                for _ in 0..<16 {
                    let count = recv(ports[sender].descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                    guard count > PacketSocket.headerBytes + 12 else { break }
                    forward(buffer[..<count], from: sender, waiting: &waiting)
                }
            }
            let now = ContinuousClock.now
            let due = waiting.prefix { $0.due <= now }.count
            for delayed in waiting[..<due] { send(delayed.frame[...], to: delayed.receiver) }
            waiting.removeFirst(due)
        }
    }

    private func forward(_ frame: ArraySlice<UInt8>, from sender: Int, waiting: inout [Delayed]) {
        let address = frame[
            frame.startIndex + PacketSocket.headerBytes..<frame.startIndex + PacketSocket.headerBytes + 6]
        let isForAll = address.first.map { $0 & 1 == 1 } ?? false
        for receiver in ports.indices where receiver != sender {
            guard isForAll || address.last == UInt8(receiver + 1) else { continue }
            for delay in state.withLock({ $0.fates(from: sender, to: receiver) }) {
                if delay == .zero {
                    send(frame, to: receiver)
                } else if waiting.count < Self.capacity {
                    let due = ContinuousClock.now + delay
                    let place = waiting.lastIndex { $0.due <= due }.map { $0 + 1 } ?? 0
                    waiting.insert(Delayed(due: due, receiver: receiver, frame: Array(frame)), at: place)
                }
            }
        }
    }

    /// An error is that the receiver's interface is down, or its buffer is full: the frame is lost, as frames are.
    private func send(_ frame: ArraySlice<UInt8>, to receiver: Int) {
        _ = frame.withUnsafeBytes {
            Glibc.send(ports[receiver].descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
        }
    }
}

extension VirtualSwitch.State {
    /// After how long the frame arrives, for each time that it does.
    fileprivate mutating func fates(from sender: Int, to receiver: Int) -> [Duration] {
        let wire = wires[sender][receiver]
        if wire == Wire() { return [.zero] }
        guard !wire.isCut, Double.random(in: 0..<1, using: &random) >= wire.loss else { return [] }
        let copies = Double.random(in: 0..<1, using: &random) < wire.duplication ? 2 : 1
        return (0..<copies).map { _ in wire.delay + wire.jitter * Double.random(in: 0..<1, using: &random) }
    }
}

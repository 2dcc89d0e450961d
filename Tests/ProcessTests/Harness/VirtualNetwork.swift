import Foundation

@testable import Command

/// Hosts on one switch: a network namespace each, with a veth to the switch's own. Nothing of the machine's
/// interfaces is touched, and all of it goes with the test.
final class VirtualNetwork: Sendable {
    let hosts: [NetworkNamespace]
    private let center: NetworkNamespace
    private let exchange: VirtualSwitch
    private let relays: [Relay]
    private let supervisor: Supervisor

    /// - Parameter relayed: for each host, the ports on its loopback address that this process wants to reach at the
    /// same   ports here.
    init(relayed: [[UInt16]], seed: UInt64, _ supervisor: Supervisor) async throws {
        self.supervisor = supervisor
        let count = relayed.count
        // Short, and of this test alone: the process and the supervisor's folder are.
        let run = "apus-\(getpid())-\(supervisor.folder.suffix(6).lowercased())"
        let names = ["\(run)-switch"] + (1...count).map { "\(run)-\($0)" }
        let made = try await NetworkNamespace.make(names, supervisor)
        center = made[0]
        hosts = Array(made.dropFirst())
        var cables: [String] = []
        for index in 0..<count {
            cables.append(
                "link add \(Self.port(index)) type veth peer name eth0 "
                    + "address 02:00:00:00:00:\(hexadecimal(index + 1)) netns \(hosts[index].name)")
            cables.append("link set \(Self.port(index)) up")
        }
        try await NetworkNamespace.configure(in: center, cables, supervisor)
        for (index, host) in hosts.enumerated() {
            try await NetworkNamespace.configure(
                in: host,
                ["link set lo up", "address add \(Self.address(index))/24 dev eth0", "link set eth0 up"], supervisor)
        }
        let ports = try center.open { try (0..<count).map { try PacketSocket(interface: Self.port($0)) } }
        exchange = VirtualSwitch(ports, seed: seed)
        var relays: [Relay] = []
        for (host, ports) in zip(hosts, relayed) {
            for port in ports { relays.append(try Relay(port: port, into: host)) }
        }
        self.relays = relays
    }

    func close() {
        exchange.close()
        for relay in relays { relay.close() }
    }

    static func address(_ index: Int) -> String { "10.98.76.\(index + 1)" }
    private static func port(_ index: Int) -> String { "port\(index + 1)" }

    // MARK: Faults

    /// Nothing goes from `sender` to `receiver`; the other way it does.
    func cutOneWay(_ sender: Int, _ receiver: Int) { exchange.set(.cut, from: sender, to: receiver) }

    func cut(_ one: Int, _ other: Int) {
        cutOneWay(one, other)
        cutOneWay(other, one)
    }

    /// Nothing goes between those of `side` and all others.
    func isolate(_ side: [Int]) {
        for one in side {
            for other in hosts.indices where !side.contains(other) { cut(one, other) }
        }
    }

    func setAll(_ wire: Wire) { exchange.setAll(wire) }
    func heal() { exchange.setAll(Wire()) }

    /// Pulls the cable out of the switch: the host's interface loses its carrier.
    func unplug(_ index: Int) async throws {
        try await NetworkNamespace.configure(in: center, ["link set \(Self.port(index)) down"], supervisor)
    }

    func plug(_ index: Int) async throws {
        try await NetworkNamespace.configure(in: center, ["link set \(Self.port(index)) up"], supervisor)
    }
}

private func hexadecimal(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return digits.count == 1 ? "0" + digits : digits
}

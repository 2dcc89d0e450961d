import Foundation
import Testing

@testable import Command

/// Which ports are free, who has the others, and which one a node gets.
struct PortsTests {
    /// A socket on a port of its own, closed with the value.
    private final class Holder {
        let descriptor: Int32
        let port: UInt16

        init(_ kind: __socket_type) throws {
            descriptor = socket(AF_INET, Int32(kind.rawValue), 0)
            var address = Ports.loopback(0)
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let descriptor = descriptor
            try withUnsafeMutablePointer(to: &address) { pointer in
                try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    try #require(bind(descriptor, address, size) == 0)
                    try #require(kind != SOCK_STREAM || listen(descriptor, 1) == 0)
                    try #require(getsockname(descriptor, address, &size) == 0)
                }
            }
            port = UInt16(bigEndian: address.sin_port)
        }

        deinit { close(descriptor) }
    }

    @Test func aPortWithAListenerIsTakenAndItsHolderIsNamed() throws {
        let holder = try Holder(SOCK_STREAM)
        #expect(!Ports.isFree(holder.port))
        #expect(Ports.holder(of: holder.port)?.hasSuffix("(process \(getpid()))") == true)
        let failure = #expect(throws: CommandFailure.self) { try requireFree(holder.port, for: "node-2") }
        let message = failure?.message ?? ""
        for part in ["port \(holder.port)", "node-2", "process \(getpid())", "--ports auto"] {
            #expect(message.contains(part), "\(message)")
        }
        withExtendedLifetime(holder) {}
    }

    /// Somebody else may have one of those ports for TCP, but not all of them.
    @Test func aPortThatUDPHasIsFreeOnlyForTCP() throws {
        let holders = try (1...20).map { _ in try Holder(SOCK_DGRAM) }
        #expect(holders.contains { Ports.isFree($0.port) && Ports.holder(of: $0.port) == nil })
        for holder in holders { #expect(!Ports.isFree(holder.port, udp: true)) }
        withExtendedLifetime(holders) {}
    }

    @Test func theFirstFreePortSkipsWhatIsTakenOrPromised() throws {
        let holder = try Holder(SOCK_STREAM)
        let first = try #require(Ports.firstFree(from: holder.port))
        #expect(first > holder.port)
        let second = try #require(Ports.firstFree(from: holder.port, except: [first]))
        #expect(second > first)
        withExtendedLifetime(holder) {}
    }

    @Test(arguments: [
        ("auto", PortChoice.automatic), ("8100", .fixed(from: 8100)), ("80", nil), ("65535", nil), ("x", nil),
        ("", nil),
    ])
    func portChoices(text: String, choice: PortChoice?) {
        #expect(PortChoice(argument: text) == choice)
    }

    @Test func fixedPortsCountUpAndRefuseWhatIsTaken() throws {
        let holder = try Holder(SOCK_STREAM)
        let choice = PortChoice.fixed(from: holder.port - 1)
        let failure = #expect(throws: CommandFailure.self) { try choice.httpPort(index: 2, taken: []) }
        #expect(failure?.message.contains("port \(holder.port), meant for node-2, is taken") == true)
        let automatic = try PortChoice.automatic.httpPort(index: 2, taken: [8000])
        #expect(automatic > 8000)
        withExtendedLifetime(holder) {}
    }
}

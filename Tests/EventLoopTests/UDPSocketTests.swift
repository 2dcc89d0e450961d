import Glibc
import Primitives
import Testing

@testable import EventLoop

struct UDPSocketTests {
    @Test(arguments: ["127.0.0.1", "::1"])
    func datagramsAreEchoed(host: String) async throws {
        try await withLoop { loop in
            let record = Record<[UInt8]>()
            try await loop.run {
                let echo = Holder()
                echo.socket = try UDPSocket(on: loop, bind: Address(host: host, port: 0)) { bytes, sender in
                    echo.socket?.send(Array(bytes), to: sender)
                }
                let server = try #require(echo.socket)
                let client = try UDPSocket(on: loop, bind: Address(host: host, port: 0)) { bytes, sender in
                    #expect(sender == server.localAddress)
                    record.append(Array(bytes))
                }
                #expect(server.localAddress.port != 0)
                for payload in [[1, 2, 3], [], [UInt8](repeating: 7, count: 1400)] {
                    client.send(payload, to: server.localAddress)
                }
            }
            #expect(try await record.wait(count: 3) == [[1, 2, 3], [], [UInt8](repeating: 7, count: 1400)])
        }
    }

    /// `@unchecked`: only touched on the loop.
    final class Holder: @unchecked Sendable {
        var socket: UDPSocket?
    }

    @Test func aBurstArrivesInOrder() async throws {
        try await withLoop { loop in
            let record = Record<UInt8>()
            let (receiver, sender) = try await loop.run {
                (
                    try UDPSocket(on: loop, bind: loopback) { bytes, _ in record.append(bytes.first ?? 0) },
                    try UDPSocket(on: loop, bind: loopback) { _, _ in }
                )
            }
            loop.execute { for number in 0..<100 { sender.send([UInt8(number)], to: receiver.localAddress) } }
            #expect(try await record.wait(count: 100) == Array(0..<100))
            let counters = try await loop.run { (sender.counters, receiver.counters) }
            #expect(counters.0.sent == 100 && counters.0.failed == 0 && counters.1.received == 100)
        }
    }

    @Test func anUnreachablePortIsReportedWithItsAddress() async throws {
        try await withLoop { loop in
            let refused = Record<Address>()
            let received = Record<[UInt8]>()
            let free = try await loop.run {
                let socket = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                socket.close()
                return socket.localAddress
            }
            let (sender, receiver) = try await loop.run {
                (
                    try UDPSocket(on: loop, bind: loopback, onReceive: { _, _ in }) { address, error in
                        #expect(error.code == ECONNREFUSED)
                        refused.append(address)
                    },
                    try UDPSocket(on: loop, bind: loopback) { bytes, _ in received.append(Array(bytes)) }
                )
            }
            // The error of the first makes the system refuse the second, which is for somebody else.
            loop.execute {
                sender.send([1], to: free)
                sender.send([2], to: receiver.localAddress)
                sender.send([3], to: free)
                sender.send([4], to: receiver.localAddress)
            }
            #expect(try await received.wait(count: 2) == [[2], [4]])
            #expect(try await refused.wait(count: 2) == [free, free])
            // The error queue is empty again: else it would keep the loop awake.
            let before = loop.lastTurn.number
            let turns = Record<UInt64>()
            loop.execute { _ = loop.schedule(after: .milliseconds(300)) { turns.append(loop.lastTurn.number) } }
            #expect(try await turns.wait(count: 1)[0] - before < 50)
            let counters = try await loop.run { sender.counters }
            #expect(counters.sent == 4 && counters.unreachable == 2)
        }
    }

    @Test func errorsOfOneDestinationDoNotWakeTheLoopForEver() async throws {
        try await withLoop { loop in
            let refused = Record<Address>()
            let free = try await loop.run {
                let socket = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                socket.close()
                return socket.localAddress
            }
            let sender = try await loop.run {
                try UDPSocket(on: loop, bind: loopback, onReceive: { _, _ in }) { address, _ in refused.append(address)
                }
            }
            loop.execute { for _ in 0..<200 { sender.send([1], to: free) } }
            try await refused.wait(count: 100)
            let turns = Record<UInt64>()
            loop.execute { _ = loop.schedule(after: .milliseconds(100)) { turns.append(loop.lastTurn.number) } }
            let before = try await turns.wait(count: 1)[0]
            loop.execute { _ = loop.schedule(after: .milliseconds(300)) { turns.append(loop.lastTurn.number) } }
            #expect(try await turns.wait(count: 2)[1] - before < 50)
        }
    }

    @Test func addressesThatAreNoneAreRefused() async throws {
        try await withLoop { loop in
            for host in ["localhost", "", "256.0.0.1", "::g"] {
                await #expect(throws: SystemError.self) {
                    try await loop.run { _ = try UDPSocket(on: loop, bind: Address(host: host, port: 0)) { _, _ in } }
                }
            }
            let counters = try await loop.run {
                let socket = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                socket.send([1], to: Address(host: "localhost", port: 1))
                return socket.counters
            }
            #expect(counters.failed == 1)
        }
    }

    @Test func aPortInUseIsAnErrorThatNamesIt() async throws {
        try await withLoop { loop in
            let taken = try await loop.run { try UDPSocket(on: loop, bind: loopback) { _, _ in } }
            let error = await #expect(throws: SystemError.self) {
                try await loop.run { _ = try UDPSocket(on: loop, bind: taken.localAddress) { _, _ in } }
            }
            #expect(error?.code == EADDRINUSE)
            #expect(error?.description.contains("\(taken.localAddress)") == true)
            #expect(error?.description.contains("EADDRINUSE") == true)
        }
    }

    @Test func aDatagramThatIsTooLongFailsAndTheSocketLives() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            let (receiver, sender) = try await loop.run {
                (
                    try UDPSocket(on: loop, bind: loopback) { bytes, _ in record.append(bytes.count) },
                    try UDPSocket(on: loop, bind: loopback) { _, _ in }
                )
            }
            let counters = try await loop.run {
                sender.send([UInt8](repeating: 0, count: 70_000), to: receiver.localAddress)
                sender.send([UInt8](repeating: 0, count: 65_507), to: receiver.localAddress)
                return sender.counters
            }
            #expect(counters.failed == 1)
            #expect(try await record.wait(count: 1) == [65_507])
        }
    }

    @Test func closingWhileSendingIsHarmless() async throws {
        try await withLoop { loop in
            let record = Record<Int>()
            try await loop.run {
                let holder = Holder()
                let receiver = try UDPSocket(on: loop, bind: loopback) { bytes, _ in
                    record.append(bytes.count)
                    holder.socket?.close()
                }
                holder.socket = receiver
                let sender = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                for _ in 0..<50 { sender.send([1], to: receiver.localAddress) }
                sender.close()
                sender.close()
                sender.send([1], to: receiver.localAddress)
                #expect(sender.counters.sent == 50)
            }
            try await record.wait(count: 1)
            // The receiver closed itself in its first callback: no other came.
            let turns = Record<Int>()
            loop.execute { _ = loop.schedule(after: .milliseconds(50)) { turns.append(0) } }
            try await turns.wait(count: 1)
            #expect(record.values == [1])
        }
    }

    @Test func theBacklogIsBounded() async throws {
        try await withLoop { loop in
            let counters = try await loop.run {
                let receiver = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                let sender = try UDPSocket(on: loop, bind: loopback) { _, _ in }
                // As if the system took nothing: everything goes to the backlog.
                let bytes = [UInt8](repeating: 0, count: 60_000)
                for _ in 0..<40 { sender.sendLater(bytes, to: receiver.localAddress) }
                return sender.counters
            }
            #expect(counters.dropped >= UInt64(40 - UDPSocket.backlogBytes / 60_000 - 1))
        }
    }

    @Test func socketsAreReleasedWhenTheyAreClosed() async throws {
        weak var weakSocket: UDPSocket?
        try await withLoop { loop in
            weakSocket = try await loop.run { try UDPSocket(on: loop, bind: loopback) { _, _ in } }
            #expect(weakSocket != nil)
        }
        #expect(weakSocket == nil)
    }
}

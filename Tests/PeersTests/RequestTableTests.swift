import NIOCore
import Primitives
import Testing

@testable import Peers

@Suite struct RequestTableTests {
    static func at(_ milliseconds: UInt64) -> NIODeadline { .uptimeNanoseconds(milliseconds * 1_000_000) }
    static let nobody = Asker.peer { _ in }

    @Test func requestLeavesOnce() throws {
        var table = RequestTable()
        let added = table.add(Self.nobody, deadline: Self.at(10), sentAt: Self.at(0))
        let number = try #require(added)
        #expect(table.take(number) != nil)
        #expect(table.take(number) == nil)
        #expect(table.expire(at: Self.at(20)).count == 0)
        #expect(table.removeAll().count == 0)
    }

    @Test func whatIsDueLeavesInOrderOfDeadlines() {
        var table = RequestTable()
        for deadline in [30, 10, 20, 40, 10] as [UInt64] {
            _ = table.add(Self.nobody, deadline: Self.at(deadline), sentAt: nil)
        }
        #expect(table.earliestDeadline == Self.at(10))
        #expect(table.expire(at: Self.at(9)).count == 0)
        #expect(table.expire(at: Self.at(20)).map(\.number) == [2, 5, 3])
        #expect(table.earliestDeadline == Self.at(30))
        #expect(table.removeAll().map(\.number) == [1, 4])
        #expect(table.earliestDeadline == nil)
    }

    @Test func onlyWaitingRequestsAreSent() throws {
        var table = RequestTable()
        let added = table.add(Self.nobody, deadline: Self.at(10), sentAt: nil)
        let number = try #require(added)
        #expect(table.markSent(number, at: Self.at(1)) == true)
        #expect(table.take(number)?.sentAt == Self.at(1))
        #expect(table.markSent(number, at: Self.at(2)) == false)
    }

    @Test func requestsAreBounded() {
        var table = RequestTable()
        for _ in 0..<Limits.requestsInFlight {
            #expect(table.add(Self.nobody, deadline: Self.at(10), sentAt: nil) != nil)
        }
        #expect(table.add(Self.nobody, deadline: Self.at(10), sentAt: nil) == nil)
        #expect(table.take(1) != nil)
        #expect(table.add(Self.nobody, deadline: Self.at(10), sentAt: nil) != nil)
    }
}

@Suite struct RedialTests {
    @Test func delaysGrowFromNothingToASecond() {
        var redial = Redial(seed: 1)
        let delays = (0..<12).map { _ in redial.next() }
        #expect(delays.prefix(3) == [.zero, .milliseconds(1), .milliseconds(4)])
        for (index, delay) in delays.dropFirst(3).enumerated() {
            let full = min(Duration.milliseconds(20 << index), .seconds(1))
            #expect(delay >= full / 2 && delay <= full)
        }
    }

    @Test func onlyALinkThatHeldStartsAnew() {
        var redial = Redial(seed: 1)
        for _ in 0..<6 { _ = redial.next() }
        redial.linkEnded(after: .milliseconds(99))
        #expect(redial.attempts == 6)
        redial.linkEnded(after: .milliseconds(100))
        #expect(redial.attempts == 0)
    }
}

import NIOCore
import Testing

@testable import HTTPAPI

/// 10 s for a header, 75 s idle, 30 s and 1,000 bytes a second for a transfer.
private func settings() -> APISettings {
    var settings = APISettings()
    settings.minimumRate = 1000
    return settings
}

private func second(_ seconds: Double) -> NIODeadline { .uptimeNanoseconds(UInt64(1e12 + seconds * 1e9)) }

@Suite struct ConnectionClockTests {
    var clock = ConnectionClock(settings(), at: second(0))

    @Test func aSilentConnectionIsIdle() {
        #expect(clock.verdict(at: second(74)) == nil)
        #expect(clock.verdict(at: second(75)) == .idle)
        #expect(clock.deadline == second(75))
    }

    @Test mutating func aHeaderHasItsTimeFromTheFirstByte() {
        clock.bytesArrived(at: second(70))
        clock.bytesArrived(at: second(79))
        #expect(clock.verdict(at: second(79.9)) == nil)
        #expect(clock.verdict(at: second(80)) == .slowHead)
    }

    @Test mutating func aBodyHasItsGraceAndItsRate() {
        clock.headArrived(at: second(0))
        #expect(clock.verdict(at: second(29)) == nil)
        #expect(clock.verdict(at: second(30)) == .slowBody)
        clock.bodyArrived(10_000)
        #expect(clock.verdict(at: second(39)) == nil)
        #expect(clock.verdict(at: second(40)) == .slowBody)
    }

    @Test mutating func aRequestBeingAnsweredHasNoDeadline() {
        clock.headArrived(at: second(0))
        clock.requestEnded(at: second(1))
        #expect(clock.deadline == nil)
        #expect(clock.verdict(at: second(1_000_000)) == nil)
    }

    @Test mutating func idlenessCountsFromTheEndOfTheResponse() {
        clock.headArrived(at: second(0))
        clock.requestEnded(at: second(1))
        clock.wrote(100, at: second(60))
        clock.responseEnded(at: second(60))
        clock.flushed(at: second(61))
        #expect(clock.deadline == second(136))
        #expect(clock.verdict(at: second(136)) == .idle)
    }

    @Test mutating func aResponseThatIsNotReadIsCutOff() {
        clock.headArrived(at: second(0))
        clock.requestEnded(at: second(0))
        clock.wrote(5000, at: second(10))
        clock.responseEnded(at: second(10))
        #expect(clock.verdict(at: second(44)) == nil)
        #expect(clock.verdict(at: second(45)) == .slowReader)
    }

    @Test mutating func aPipelinedRequestIsNotLateWhileTheOneBeforeIsAnswered() {
        clock.headArrived(at: second(0))
        clock.requestEnded(at: second(0))
        clock.bytesArrived(at: second(1))
        #expect(clock.deadline == nil)
        clock.headArrived(at: second(2))
        #expect(clock.deadline == nil)
        clock.wrote(1, at: second(50))
        clock.responseEnded(at: second(50))
        clock.flushed(at: second(50))
        #expect(clock.verdict(at: second(79)) == nil)
        #expect(clock.verdict(at: second(80)) == .slowBody)
    }
}

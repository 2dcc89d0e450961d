import NIOCore
import Testing

@testable import Peers

@Suite struct SilenceTests {
    static func at(_ milliseconds: UInt64) -> NIODeadline { .uptimeNanoseconds(milliseconds * 1_000_000) }

    @Test func silenceBeginsWithTheOldestRequestThatMetNothing() {
        var silence = Silence()
        #expect(silence.since == nil)
        silence.expired(sentAt: Self.at(20))
        silence.expired(sentAt: Self.at(10))
        silence.expired(sentAt: Self.at(30))
        #expect(silence.since == Self.at(10))
    }

    @Test(arguments: [(9, true), (10, false), (11, false)] as [(UInt64, Bool)])
    func aLinkOnWhichSomethingCameSinceIsNotSilent(received: UInt64, isSilent: Bool) {
        var silence = Silence()
        silence.received(at: Self.at(received))
        silence.expired(sentAt: Self.at(10))
        #expect((silence.since != nil) == isSilent)
    }

    @Test func anyBytesEndIt() {
        var silence = Silence()
        silence.expired(sentAt: Self.at(10))
        silence.received(at: Self.at(500))
        #expect(silence.since == nil)
        silence.expired(sentAt: Self.at(400))
        #expect(silence.since == nil)
        silence.expired(sentAt: Self.at(600))
        #expect(silence.since == Self.at(600))
    }
}

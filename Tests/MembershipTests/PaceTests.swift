import Primitives
import Testing

@testable import Membership

@Suite struct PaceTests {
    static func roundTrip(_ samples: [Int64]) -> RoundTrip {
        var roundTrip = RoundTrip()
        for sample in samples { _ = roundTrip.sample(.milliseconds(sample)) }
        return roundTrip
    }

    @Test(
        arguments: [
            ([], 0), ([7], 7), ([7, 9], 9), ([1, 100, 3], 3), (Array(repeating: 5, count: 40), 5),
            // The last 15 count.
            (Array(repeating: 1, count: 30) + Array(repeating: 200, count: 7), 1),
            (Array(repeating: 1, count: 30) + Array(repeating: 200, count: 8), 200),
            (Array(1...40), 33),
        ] as [([Int64], Int64)])
    func theMedianIsOfTheLastFifteen(_ samples: [Int64], _ median: Int64) {
        #expect(Self.roundTrip(samples).median == .milliseconds(median))
    }

    @Test func aSampleSaysWhetherTheMedianHasChanged() {
        var roundTrip = RoundTrip()
        let news = [3, 3, 9, 1, 4].map { roundTrip.sample(.milliseconds($0)) }
        // 3; 3 3; 3 3 9; 1 3 3 9; 1 3 3 4 9.
        #expect(news == [true, false, false, false, false])
        let rising = roundTrip.sample(.milliseconds(9))
        #expect(rising)
    }

    /// Round trip, probe, in milliseconds.
    @Test(arguments: [(0, 200), (40, 200), (41, 205), (200, 1000), (400, 2000), (3000, 2000)] as [(Int64, Int64)])
    func aProbeTakesAPeriodOrFiveRoundTripsUpToTenPeriods(_ roundTrip: Int64, _ probe: Int64) {
        let pace = Pace(Membership.Settings(), roundTrip: .milliseconds(roundTrip))
        #expect(pace.probe == .milliseconds(probe))
        #expect(pace.timeout == .milliseconds(probe) * 2 / 5)
        #expect(pace.timeout + pace.nackDelay < pace.probe)
    }

    /// Peers that ack each ping after that time, for a minute.
    static func rig(answeringAfter delays: [String: Duration]) -> Rig {
        var rig = Rig(peers: delays.keys.sorted())
        var acks: [(at: Instant, host: String, sequence: UInt32)] = []
        let end = rig.now + .seconds(60)
        while true {
            let ack = acks.min { $0.at < $1.at }
            let next = min(ack?.at ?? .distantFuture, rig.machine.nextDeadline)
            if next > end { break }
            rig.now = max(rig.now, next)
            var effects: [Membership.Effect] = []
            if let ack, ack.at == next {
                acks.removeAll { $0.sequence == ack.sequence }
                effects = rig.receive(.ack(sequence: ack.sequence, of: id(ack.host)), from: ack.host)
            } else {
                effects = rig.handle(.tick)
            }
            for case .send(let message, let target) in effects {
                guard case .ping(let sequence, _) = message.body, let delay = delays[target.host] else { continue }
                acks.append((rig.now + delay, target.host, sequence))
            }
        }
        return rig
    }

    @Test func theTimeoutsFollowASlowNetworkAndNobodyIsSuspectThen() {
        let rig = Self.rig(answeringAfter: ["b": .milliseconds(150), "c": .milliseconds(160), "d": .milliseconds(170)])
        #expect(rig.machine.pace.probe >= .milliseconds(750))
        #expect(rig.machine.localHealthScore == 0)
        #expect(["b", "c", "d"].map { rig.state($0) } == [.alive, .alive, .alive])
    }

    @Test func oneSlowMemberDoesNotMakeTheOthersWait() {
        let rig = Self.rig(answeringAfter: ["b": .milliseconds(150), "c": .milliseconds(1), "d": .milliseconds(1)])
        #expect(rig.machine.pace.probe == .milliseconds(200))
    }

    @Test func suspicionsLastInProportion() {
        var rig = Self.rig(answeringAfter: ["b": .milliseconds(200), "c": .milliseconds(200)])
        #expect(rig.machine.pace.probe == .seconds(1))
        _ = rig.hear([suspect("b", by: "c"), suspect("b", by: "a")], from: "c")
        let suspicion = rig.machine.suspicions.first
        #expect(suspicion?.shortest == .seconds(4))
        #expect(suspicion?.longest == .seconds(24))
    }
}

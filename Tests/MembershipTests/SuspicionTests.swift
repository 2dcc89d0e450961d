import Primitives
import Testing

@testable import Membership

@Suite struct SuspicionTests {
    func suspicion(needed: Int) -> Suspicion {
        Suspicion(
            of: id("b"), at: .zero, by: name("c"), shortest: .seconds(2), longest: .seconds(30),
            grace: .milliseconds(500), needed: needed)
    }

    func seconds(_ suspicion: Suspicion) -> Double { (suspicion.deadline - .zero).secondsValue }

    @Test func shrinksLogarithmicallyWithConfirmations() {
        var three = suspicion(needed: 3)
        #expect(seconds(three) == 30)
        // 30 - 28 x log(c + 1) / log(4) = 16, 30 - 28 x 0.7925 = 7.81, 2.
        for (accuser, expected) in [("d", 16.0), ("e", 7.81), ("f", 2.0)] {
            let isNews = three.confirm(by: name(accuser), at: .zero)
            #expect(isNews)
            #expect(abs(seconds(three) - expected) < 0.001 + 0.001 * expected)
        }
    }

    @Test func anAccuserCountsOnce() {
        var two = suspicion(needed: 2)
        let first = two.confirm(by: name("c"), at: .zero)
        let second = two.confirm(by: name("d"), at: .zero)
        let repeated = two.confirm(by: name("d"), at: .zero)
        #expect([first, second, repeated] == [false, true, false])
        #expect(two.confirmations == 1)
    }

    @Test func noMoreAccusersThanNeededAreCounted() {
        var two = suspicion(needed: 2)
        let news = ["d", "e", "f"].map { two.confirm(by: name($0), at: .zero) }
        #expect(news == [true, true, false])
        #expect(two.accusers.count == 3)
        #expect(seconds(two) == 2)
    }

    @Test func withNobodyToConfirmItIsShortestFromTheStart() { #expect(seconds(suspicion(needed: 0)) == 2) }

    @Test func proofCountsAsAConfirmation() {
        var one = suspicion(needed: 1)
        one.prove(at: .zero)
        #expect(seconds(one) == 2)
    }

    /// When the confirmation comes, in seconds, and until when the suspect has time then.
    @Test(arguments: [(0, 2), (1, 2), (1.75, 2.25), (10, 10.5), (29, 29.5), (29.75, 30)])
    func aLateConfirmationLeavesTheTimeOfAProbe(_ seconds: Double, _ deadline: Double) {
        let now = Instant(nanoseconds: Int64(seconds * 1e9))
        var confirmed = suspicion(needed: 1)
        let isNews = confirmed.confirm(by: name("d"), at: now)
        #expect(isNews)
        #expect(self.seconds(confirmed) == deadline)
        var proven = suspicion(needed: 1)
        proven.prove(at: now)
        #expect(self.seconds(proven) == deadline)
    }

    @Test func isPostponedByTheTimeThatTheProcessDidNotRun() {
        var one = suspicion(needed: 0)
        one.postpone(by: .seconds(5))
        #expect(seconds(one) == 7)
    }
}

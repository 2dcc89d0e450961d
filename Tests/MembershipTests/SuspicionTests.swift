import Primitives
import Testing

@testable import Membership

@Suite struct SuspicionTests {
    func suspicion(needed: Int) -> Suspicion {
        Suspicion(
            of: id("b"), at: .zero, by: name("c"), shortest: .seconds(2), longest: .seconds(30), needed: needed)
    }

    func seconds(_ suspicion: Suspicion) -> Double { (suspicion.deadline - .zero).secondsValue }

    @Test func shrinksLogarithmicallyWithConfirmations() {
        var three = suspicion(needed: 3)
        #expect(seconds(three) == 30)
        // 30 - 28 x log(c + 1) / log(4) = 16, 30 - 28 x 0.7925 = 7.81, 2.
        for (accuser, expected) in [("d", 16.0), ("e", 7.81), ("f", 2.0)] {
            let isNews = three.confirm(by: name(accuser))
            #expect(isNews)
            #expect(abs(seconds(three) - expected) < 0.001 + 0.001 * expected)
        }
    }

    @Test func anAccuserCountsOnce() {
        var two = suspicion(needed: 2)
        let first = two.confirm(by: name("c"))
        let second = two.confirm(by: name("d"))
        let repeated = two.confirm(by: name("d"))
        #expect([first, second, repeated] == [false, true, false])
        #expect(two.confirmations == 1)
    }

    @Test func noMoreAccusersThanNeededAreCounted() {
        var two = suspicion(needed: 2)
        let news = ["d", "e", "f"].map { two.confirm(by: name($0)) }
        #expect(news == [true, true, false])
        #expect(two.accusers.count == 3)
        #expect(seconds(two) == 2)
    }

    @Test func withNobodyToConfirmItIsShortestFromTheStart() { #expect(seconds(suspicion(needed: 0)) == 2) }

    @Test func proofCountsAsAConfirmation() {
        var one = suspicion(needed: 1)
        one.hasProof = true
        #expect(seconds(one) == 2)
    }

    @Test func isPostponedByTheTimeThatTheProcessDidNotRun() {
        var one = suspicion(needed: 0)
        one.postpone(by: .seconds(5))
        #expect(seconds(one) == 7)
    }
}

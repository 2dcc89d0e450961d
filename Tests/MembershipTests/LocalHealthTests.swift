import Primitives
import Testing

@testable import Membership

@Suite struct LocalHealthTests {
    @Test func scoreStaysInItsBounds() {
        var health = LocalHealth(levels: 8)
        health.improve()
        #expect(health.score == 0)
        health.worsen(by: 3)
        #expect(health.score == 3)
        health.improve()
        #expect(health.score == 2)
        health.worsen(by: 100)
        #expect(health.score == 7)
    }

    @Test func stretchesByItsScorePlusOne() {
        var health = LocalHealth(levels: 8)
        #expect(health.scaled(.milliseconds(200)) == .milliseconds(200))
        health.worsen(by: 7)
        #expect(health.scaled(.milliseconds(200)) == .milliseconds(1600))
    }
}

import Primitives
import Testing

@testable import Membership

@Suite struct SettingsTests {
    let settings = Membership.Settings()
    let pace = Pace(Membership.Settings(), roundTrip: .milliseconds(40))

    @Test func retransmitLimitGrowsWithTheDigitsOfTheCluster() {
        #expect([1, 2, 9, 10, 99, 100, 256].map { settings.retransmitLimit(members: $0) } == [4, 4, 4, 8, 8, 12, 12])
    }

    @Test func confirmationsAreAtMostTheOthers() {
        #expect([1, 2, 3, 4, 5, 256].map { settings.confirmationsNeeded(members: $0) } == [0, 0, 1, 2, 2, 2])
    }

    @Test func shortestSuspicionIsFourPeriodsUpToTenMembers() {
        #expect(settings.shortestSuspicion(members: 3, at: pace) == .milliseconds(800))
        let hundred = settings.shortestSuspicion(members: 100, at: pace).secondsValue
        #expect(abs(hundred - 1.6) < 1e-9)
    }

    @Test func timeoutsFitIntoAPeriod() {
        #expect(pace.probe == settings.period)
        #expect(pace.timeout == .milliseconds(80))
        let slow = Pace(settings, roundTrip: .milliseconds(200))
        #expect(slow.timeout == .milliseconds(400))
        for pace in [pace, slow] { #expect(pace.timeout + pace.nackDelay < pace.probe) }
    }

    @Test func joinDelaysDoubleUpToTheInterval() {
        let delays = [0, 1, 2, 5, 6, 40].map { settings.joinDelay(attempts: $0).milliseconds }
        #expect(delays == [200, 400, 800, 6400, 10_000, 10_000])
    }

    @Test(arguments: [
        (1.0, 0.0), (2, 0.693_147_180_56), (10, 2.302_585_092_994), (256, 5.545_177_444_48), (0.5, -0.693_147_180_56),
    ])
    func logarithmIsTheNaturalOne(_ value: Double, _ expected: Double) {
        #expect(abs(logarithm(value) - expected) < 1e-10)
    }
}

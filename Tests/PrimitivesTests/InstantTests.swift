import Primitives
import Testing

/// Time that saturates where it would overflow, since durations may come from a peer.
@Suite struct InstantTests {
    @Test func sumsAndDifferencesSaturate() {
        let (early, late) = (Instant(nanoseconds: .min), Instant.distantFuture)
        #expect(late + Duration.seconds(1) == late)
        #expect(early - Duration.seconds(1) == early)
        #expect(late - Duration.seconds(-1) == late)
        #expect(early + Duration.seconds(-1) == early)
        #expect(late - early == Duration.nanoseconds(Int64.max))
        #expect(early - late == Duration.nanoseconds(Int64.min))
        #expect((Instant.zero + Duration.milliseconds(2)) - Instant.zero == Duration.milliseconds(2))
        #expect(Instant.zero - Duration.nanoseconds(Int64.min) == late)
    }

    @Test func nanosecondsOfADurationSaturate() {
        #expect(Duration.seconds(2).nanoseconds == 2_000_000_000)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(Int64.min).nanoseconds == .min)
        #expect((Duration.seconds(9_223_372_036) + .nanoseconds(854_775_808)).nanoseconds == .max)
        #expect(Duration.nanoseconds(-1_500_000).milliseconds == -1)
        #expect(Duration.milliseconds(250).secondsValue == 0.25)
    }
}

/// The random numbers of machines.
@Suite struct GeneratorTests {
    @Test func sameSeedGivesTheSameStream() {
        var (a, b, c) = (SeededGenerator(seed: 1), SeededGenerator(seed: 1), SeededGenerator(seed: 2))
        let stream = (0..<100).map { _ in a.next() }
        let (same, other) = ((0..<100).map { _ in b.next() }, (0..<100).map { _ in c.next() })
        #expect(stream == same)
        #expect(stream != other)
        #expect(Set(stream).count == 100)
    }

    @Test func forkIsIndependentOfWhatIsDrawnLater() {
        var (a, b) = (SeededGenerator(seed: 1), SeededGenerator(seed: 1))
        var (x, y) = (a.fork(), b.fork())
        _ = a.next()
        let (first, second) = (x.next(), y.next())
        #expect(first == second)
    }
}

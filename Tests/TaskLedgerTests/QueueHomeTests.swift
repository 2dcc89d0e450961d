import Primitives
import Testing

@testable import TaskLedger

/// The home of queues, and owners that borrow from it.
@Suite struct QueueHomeTests {
    private struct Bench {
        var home = QueueHome()
        var now = Sample.instant(0)
        var answers: [QueueHome.Answer] = []
        var numbers: UInt64 = 0

        init(rate: UInt32? = nil, concurrency: UInt32? = nil, ledgers: [UInt32] = [1, 2]) {
            install(rate: rate, concurrency: concurrency, ledgers: ledgers)
        }

        mutating func install(
            rate: UInt32? = nil, concurrency: UInt32? = nil, ledgers: [UInt32] = [1, 2], term: UInt64 = 1,
            listed: [UInt32] = [1, 2], members: [String] = ["a", "b"]
        ) {
            home.install(
                ["q": .init(rate: rate, concurrency: concurrency)],
                ledgers: Dictionary(uniqueKeysWithValues: ledgers.map { (LedgerID($0), Term(term)) }),
                listed: Set(listed.map { LedgerID($0) }), members: Set(members.map { Sample.node($0) }), at: now,
                into: &answers)
        }

        /// What is told at once.
        mutating func claim(
            _ owner: String, wanted: UInt32, unused: UInt32 = 0, held: [UInt32: UInt32] = [:], number: UInt64? = nil
        ) -> [PermitLoan] {
            numbers += 1
            home.take(
                PermitClaim(
                    queue: "q", view: 1, number: number ?? numbers, wanted: wanted, unused: unused,
                    held: held.sorted { $0.key < $1.key }.map { .init(ledger: LedgerID($0.key), count: $0.value) }),
                by: Sample.node(owner), at: now, into: &answers)
            return take()
        }

        mutating func take() -> [PermitLoan] {
            defer { answers = [] }
            return answers.map(\.loan)
        }

        mutating func wake(after milliseconds: Int64) -> [(owner: NodeID, permits: UInt32)] {
            now += .milliseconds(milliseconds)
            home.wake(at: now, into: &answers)
            defer { answers = [] }
            return answers.map { ($0.owner, $0.loan.permits) }
        }
    }

    /// Two owners that want more than there is, for a minute: what is lent follows the rate, from the first second on.
    @Test(arguments: [500, 1000, 7000, 100_000, 2_500_000] as [UInt32])
    func the_rate_is_kept(rate: UInt32) {
        var bench = Bench(rate: rate)
        var lent: [NodeID: UInt64] = [:]
        func count(_ answers: [QueueHome.Answer]) -> [QueueHome.Answer] {
            for answer in answers { lent[answer.owner, default: 0] += UInt64(answer.loan.permits) }
            return answers
        }
        for owner in ["a", "b"] { _ = bench.claim(owner, wanted: 8) }
        let end = Sample.instant(60_000)
        while let next = bench.home.nextDeadline, next < end {
            bench.now = max(next, bench.now + .microseconds(300))
            bench.home.wake(at: bench.now, into: &bench.answers)
            let answered = count(bench.answers)
            bench.answers = []
            for answer in answered {
                bench.numbers += 1
                bench.home.take(
                    PermitClaim(queue: "q", view: 1, number: bench.numbers, wanted: 1000, unused: 0, held: []),
                    by: answer.owner, at: bench.now, into: &bench.answers)
                _ = count(bench.answers.filter { $0.loan.permits > 0 })
                let more = bench.answers
                bench.answers = []
                for again in more {
                    bench.numbers += 1
                    bench.home.take(
                        PermitClaim(queue: "q", view: 1, number: bench.numbers, wanted: 1000, unused: 0, held: []),
                        by: again.owner, at: bench.now, into: &bench.answers)
                }
            }
        }
        let total = Double(lent.values.reduce(0, +))
        let expected = Double(rate) / 1000 * 60
        #expect(total <= expected + Double(Limits.burst(of: rate)))
        #expect(total >= expected * 0.95 - 1, "\(total) of \(expected)")
        let shares = lent.values.sorted()
        if let least = shares.first, let most = shares.last, expected > 100 {
            #expect(Double(most) < Double(least) * 1.3 + 2, "\(shares)")
        }
    }

    @Test func it_begins_empty_and_keeps_no_more_than_a_burst() {
        var bench = Bench(rate: 10_000)
        #expect(bench.claim("a", wanted: 5).isEmpty)
        #expect(bench.wake(after: 100).map(\.permits) == [1])
        bench.now += .seconds(60)
        #expect(bench.claim("a", wanted: 50).map(\.permits) == [Limits.burst(of: 10_000)])
    }

    @Test func what_was_not_used_is_lent_again() {
        var bench = Bench(rate: 100_000)
        bench.now += .seconds(1)
        #expect(bench.claim("a", wanted: 10).map(\.permits) == [10])
        #expect(bench.claim("a", wanted: 0, unused: 6).map(\.permits) == [0])
        #expect(bench.claim("b", wanted: 10).map(\.permits) == [6])
        #expect(bench.claim("b", wanted: 0, unused: 60).map(\.permits) == [0])
        #expect(bench.claim("b", wanted: 60).map(\.permits) == [10], "no more than a burst comes back")
    }

    @Test func nobody_gets_a_permit_before_all_have_told_what_they_hold() {
        var bench = Bench(concurrency: 5)
        #expect(bench.claim("a", wanted: 9, held: [1: 2]).isEmpty)
        #expect(bench.claim("b", wanted: 0, held: [2: 1]).map(\.permits) == [0, 2])
        #expect(bench.claim("b", wanted: 1, held: [2: 1]).isEmpty)
        let told = bench.wake(after: 1000)
        #expect(told.map(\.permits) == [0])
    }

    @Test func permits_that_are_lent_count_until_the_owner_tells() {
        var bench = Bench(concurrency: 3, ledgers: [1, 2])
        _ = bench.claim("b", wanted: 0, held: [2: 0])
        #expect(bench.claim("a", wanted: 2, held: [1: 0]).map(\.permits) == [2])
        #expect(bench.claim("b", wanted: 5, held: [2: 0]).map(\.permits) == [1])
        #expect(bench.claim("b", wanted: 5, held: [2: 1]).isEmpty)
        #expect(bench.claim("a", wanted: 0, held: [1: 1]).map(\.permits).sorted() == [0, 1])
    }

    @Test func a_successor_tells_before_the_dead_owners_share_is_lent() {
        var bench = Bench(concurrency: 4)
        _ = bench.claim("b", wanted: 0, held: [2: 3])
        #expect(bench.claim("a", wanted: 4, held: [1: 0]).map(\.permits) == [1])
        // b is gone; nobody serves its ledger, then a does.
        bench.install(concurrency: 4, ledgers: [1], members: ["a"])
        #expect(bench.claim("a", wanted: 4, held: [1: 1]).isEmpty, "what b had may still run at thieves")
        bench.install(concurrency: 4, ledgers: [1, 2], term: 2, members: ["a"])
        #expect(bench.claim("a", wanted: 4, held: [1: 1, 2: 1]).map(\.permits).last == 2)
        bench.install(concurrency: 4, ledgers: [1], term: 2, listed: [1], members: ["a"])
        #expect(bench.claim("a", wanted: 4, held: [1: 1]).map(\.permits).last == 3, "the ledger was deleted")
    }

    @Test func of_two_claims_the_later_one_counts_whichever_comes_first() {
        var bench = Bench(concurrency: 3, ledgers: [1])
        #expect(bench.claim("a", wanted: 2, held: [1: 1], number: 10).map(\.permits) == [2])
        #expect(bench.claim("a", wanted: 2, held: [1: 0], number: 9).isEmpty)
        #expect(bench.claim("a", wanted: 0, held: [1: 3], number: 11).map(\.permits) == [0])
        #expect(bench.claim("a", wanted: 1, held: [1: 3], number: 12).isEmpty)
    }

    @Test func who_waits_longest_comes_first_and_nobody_takes_all() {
        var bench = Bench(concurrency: 4, ledgers: [1, 2])
        _ = bench.claim("a", wanted: 9, held: [1: 0])
        bench.answers = []
        let loans = bench.claim("b", wanted: 9, held: [2: 0])
        #expect(loans.map(\.permits) == [2, 2])
    }

    @Test func a_queue_that_is_not_at_home_here_is_told_so() {
        var bench = Bench(rate: 1000)
        bench.home.install([:], ledgers: [:], listed: [], members: [], at: bench.now, into: &bench.answers)
        #expect(bench.claim("a", wanted: 1).map(\.shortage) == [.noHome])
    }

    // MARK: Owners

    private static func spec() -> TaskSpec {
        var spec = TaskOwnerTests.spec()
        spec.queue = "q"
        return spec
    }

    @Test func without_permits_nothing_starts_and_each_start_uses_one() throws {
        var bench = OwnerBench(slots: 4)
        bench.owner.setRules(["q": QueueRules(hasConcurrency: true)])
        for _ in 0..<4 { _ = try bench.submit(Self.spec()) }
        _ = try bench.submit(TaskOwnerTests.spec())
        #expect(bench.owner.readyCount == 1)
        let claim = try #require(bench.owner.claims(spare: 3, at: bench.now).first)
        #expect(claim.wanted == 3 && claim.held == [.init(ledger: Sample.ledger, count: 0)])
        #expect(bench.owner.claims(spare: 3, at: bench.now).isEmpty, "it waits for the answer")
        #expect(bench.turn().starts.count == 1, "the task of the other queue")
        bench.owner.take(
            PermitLoan(number: claim.number, permits: 2), of: "q", number: claim.number, sent: bench.now, at: bench.now)
        #expect(bench.owner.readyCount == 4)
        let starts = bench.turn().starts
        #expect(starts.count == 2)
        #expect(bench.owner.readyCount == 0)
        let next = try #require(bench.owner.claims(spare: 1, at: bench.now).first)
        #expect(next.wanted == 1 && next.held.first?.count == 2 && next.number > claim.number)
        // A lease that ends is told, though the answer to the last claim is still awaited.
        bench.report(starts[0].attempt, .completed([]))
        let told = try #require(bench.owner.claims(spare: 0, at: bench.now).first)
        #expect(told.held.first?.count == 1 && told.wanted == 0)
        bench.owner.take(
            PermitLoan(number: next.number, permits: 1), of: "q", number: next.number, sent: bench.now, at: bench.now)
        #expect(bench.owner.readyCount == 0, "what was lent for an earlier claim is void")
    }

    @Test func old_permits_are_given_back_and_a_view_voids_all() throws {
        var bench = OwnerBench(slots: 4)
        bench.owner.setRules(["q": QueueRules(hasRate: true)])
        _ = try bench.submit(Self.spec())
        func borrow(_ bench: inout OwnerBench) throws -> PermitClaim {
            let claim = try #require(bench.owner.claims(spare: 1, at: bench.now).first)
            bench.owner.take(
                PermitLoan(number: claim.number, permits: 1), of: "q", number: claim.number, sent: bench.now,
                at: bench.now)
            return claim
        }
        _ = try borrow(&bench)
        bench.now += Limits.permitLife
        #expect(bench.turn().starts.isEmpty)
        #expect(try borrow(&bench).unused == 1)
        bench.owner.setRules(["q": QueueRules(hasRate: true)])
        #expect(bench.turn().starts.isEmpty)
        #expect(try borrow(&bench).unused == 0)
        #expect(bench.turn().starts.count == 1)
    }

    @Test func a_home_that_does_not_answer_is_asked_again_and_why_says_so() throws {
        var bench = OwnerBench(slots: 4)
        bench.owner.setRules(["q": QueueRules(hasRate: true)])
        let id = try bench.submit(Self.spec())[0]
        let claim = try #require(bench.owner.claims(spare: 1, at: bench.now).first)
        bench.owner.take(nil, of: "q", number: claim.number, sent: bench.now, at: bench.now)
        #expect(bench.owner.waitCause(of: try #require(bench.owner.task(id)), at: bench.now) == .queueLimited(.noHome))
        #expect(bench.owner.claims(spare: 1, at: bench.now).isEmpty)
        bench.now += Limits.claimPause
        #expect(bench.owner.claims(spare: 1, at: bench.now).count == 1)
    }

    @Test func thieves_need_permits_too() throws {
        var bench = OwnerBench(slots: 1)
        bench.owner.setRules(["q": QueueRules(hasRate: true)])
        for _ in 0..<6 { _ = try bench.submit(Self.spec()) }
        #expect(bench.grant(4).isEmpty)
        let claim = try #require(bench.owner.claims(spare: 4, at: bench.now).first)
        bench.owner.take(
            PermitLoan(number: claim.number, permits: 2), of: "q", number: claim.number, sent: bench.now, at: bench.now)
        #expect(bench.grant(4).count == 2)
        #expect(bench.turn().starts.isEmpty)
    }
}

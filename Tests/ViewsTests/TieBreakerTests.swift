import Primitives
import Testing
import Views

/// The registry as the breaker of ties, as node "a" sees it.
@Suite struct TieBreakerTests {
    struct Desk {
        var tie = TieBreaker(name("a"), seed: 1)
        var now = Instant(nanoseconds: 1_000_000_000)

        mutating func handle(_ event: TieBreaker.Event) -> [TieBreaker.Effect] {
            var effects: [TieBreaker.Effect] = []
            tie.handle(event, at: now, into: &effects)
            return effects
        }

        /// Answers the only question among `effects`.
        mutating func answer(_ effects: [TieBreaker.Effect], _ text: String?) throws -> [TieBreaker.Effect] {
            try handle(.answered(#require(effects.queries.first), text.flatMap { NodeName($0) }))
        }
    }

    static func view(mark: UInt64?, voters: String = "ab", number: UInt64 = 5) -> View {
        var view = makeView("abcde", voters: voters, ledgers: [ledger(1, "a")], number: number)
        view.tieMark = mark
        return view
    }

    /// In a view that carries a mark of this node's.
    private func armed() throws -> (Desk, mark: UInt64) {
        var desk = Desk()
        _ = desk.handle(.installed(Self.view(mark: nil, voters: "abc", number: 4), isVoter: true))
        let effects = desk.handle(.connected(isFresh: false))
        #expect(try desk.answer(effects, "mark") == [.changed])
        let mark = try #require(desk.tie.mark(at: desk.now))
        let looks = desk.handle(.installed(Self.view(mark: mark), isVoter: true))
        #expect(looks.queries.map(\.name) == [name("mark"), name("missing")], "another one, and a look at this")
        for query in looks.queries { #expect(try desk.handle(.answered(query, name("mark"))).count <= 1) }
        #expect(!desk.tie.isLost)
        return (desk, mark)
    }

    @Test func markIsWrittenOnceAndNeverAgain() throws {
        var desk = Desk()
        _ = desk.handle(.installed(Self.view(mark: nil), isVoter: true))
        #expect(desk.tie.nextDeadline == nil && desk.tie.mark(at: desk.now) == nil)
        let first = desk.handle(.connected(isFresh: false))
        let query = try #require(first.queries.first)
        #expect(query.key >= 1 << 63 && query.name == name("mark"))
        #expect(desk.handle(.tick).isEmpty, "one at a time")
        // Failed: it may have been written, or be written later. Another one is drawn.
        #expect(desk.handle(.answered(query, nil)).isEmpty)
        desk.now = try #require(desk.tie.nextDeadline)
        let second = try #require(desk.handle(.tick).queries.first)
        #expect(second.key != query.key)
        #expect(desk.handle(.answered(second, name("mark"))) == [.changed])
        #expect(desk.tie.mark(at: desk.now) == second.key)
        #expect(desk.handle(.answered(query, name("mark"))).isEmpty)
    }

    @Test(arguments: [("abcde", true), ("ab", false)])
    func nothingIsWrittenWhereThereWillBeNoTie(voters: String, isVoter: Bool) {
        var desk = Desk()
        _ = desk.handle(.connected(isFresh: false))
        #expect(desk.handle(.installed(Self.view(mark: nil, voters: voters), isVoter: isVoter)).isEmpty)
        #expect(desk.tie.nextDeadline == nil)
    }

    @Test func claimCountsAfterALookAtTheMark() throws {
        var (desk, mark) = try armed()
        let claim = desk.handle(.claim(number: 6, mark: mark))
        let query = try #require(claim.queries.first)
        #expect(query.key == 6 && query.name == name("a") && query.ttl == Limits.claimTTL)
        #expect(desk.handle(.claim(number: 6, mark: mark)).isEmpty, "it is being asked")
        let look = desk.handle(.answered(query, name("a")))
        #expect(look.queries.map(\.key) == [mark] && look.queries.map(\.name) == [name("missing")])
        #expect(try desk.answer(look, "mark") == [.granted(number: 6)])
        #expect(Limits.claimTTL > Limits.tieMarkTTL)
    }

    @Test func claimOfAnotherIsToldAndAskedForAgain() throws {
        var (desk, mark) = try armed()
        let claim = desk.handle(.claim(number: 6, mark: mark))
        #expect(try desk.answer(claim, "b") == [.taken(number: 6, by: name("b"))])
        #expect(desk.handle(.claim(number: 6, mark: mark)).queries.count == 1)
    }

    @Test func claimWithoutItsMarkDoesNotCount() throws {
        var (desk, mark) = try armed()
        let look = try desk.answer(desk.handle(.claim(number: 6, mark: mark)), "a")
        #expect(try desk.answer(look, "missing") == [.changed])
        #expect(desk.tie.isLost)
        #expect(desk.handle(.claim(number: 6, mark: mark)).isEmpty, "it would not count")
    }

    /// A look that was put before the claim says nothing about what happened in between.
    @Test func earlierLookDoesNotConfirmAClaim() throws {
        var (desk, mark) = try armed()
        desk.now += Limits.tieMarkInterval
        let early = try #require(desk.handle(.tick).queries.first)
        let look = try desk.answer(desk.handle(.claim(number: 6, mark: mark)), "a")
        #expect(desk.handle(.answered(early, name("mark"))).isEmpty)
        #expect(try desk.answer(look, nil).isEmpty, "nobody knows")
        #expect(!desk.tie.isLost)
    }

    @Test func claimsOfOtherViewsAreNotMade() throws {
        var (desk, mark) = try armed()
        #expect(desk.handle(.claim(number: 7, mark: mark)).isEmpty)
        #expect(desk.handle(.claim(number: 6, mark: mark ^ 1)).isEmpty)
    }

    @Test func missingMarkIsNoticedWithoutAClaim() throws {
        var (desk, _) = try armed()
        desk.now = try #require(desk.tie.nextDeadline)
        let look = desk.handle(.tick)
        #expect(try desk.answer(look, "missing") == [.changed])
        #expect(desk.tie.isLost && desk.tie.mark(at: desk.now) != nil)
    }

    @Test func answersOfAStoreThatWasEmptiedAreVoid() throws {
        var (desk, mark) = try armed()
        let look = try desk.answer(desk.handle(.claim(number: 6, mark: mark)), "a")
        let fresh = desk.handle(.connected(isFresh: true))
        #expect(fresh.contains(.changed) && desk.tie.isLost)
        #expect(desk.tie.mark(at: desk.now) == nil, "what was written is gone")
        #expect(try desk.answer(look, "mark").isEmpty)
        #expect(try desk.answer(fresh, "mark") == [.changed])
        #expect(desk.tie.mark(at: desk.now) != nil)
    }

    @Test func registryThatWasAwayIsTrustedAfterAWhileThatGrows() throws {
        var (desk, _) = try armed()
        for wait in [5, 10, 20] {
            #expect(desk.handle(.disconnected) == [.changed])
            #expect(desk.tie.isLost && desk.tie.mark(at: desk.now) == nil)
            desk.now += .seconds(1)
            let back = desk.handle(.connected(isFresh: false))
            for query in back.queries { _ = desk.handle(.answered(query, name("mark"))) }
            #expect(!desk.tie.isLost && desk.tie.mark(at: desk.now) == nil)
            desk.now += .seconds(wait) - .nanoseconds(1)
            #expect(desk.tie.mark(at: desk.now) == nil)
            desk.now += .nanoseconds(1)
            #expect(desk.handle(.tick).contains(.changed))
            #expect(desk.tie.mark(at: desk.now) != nil)
        }
    }

    @Test func markThatOthersDropIsNotForcedOnThem() throws {
        var (desk, _) = try armed()
        _ = desk.handle(.installed(Self.view(mark: nil, number: 6), isVoter: true))
        #expect(desk.tie.mark(at: desk.now) == nil)
        #expect(desk.tie.mark(at: desk.now + Limits.tieCalm) != nil)
    }
}

extension [TieBreaker.Effect] {
    fileprivate var queries: [TieBreaker.Query] {
        compactMap { if case .ask(let query) = $0 { query } else { nil } }
    }
}

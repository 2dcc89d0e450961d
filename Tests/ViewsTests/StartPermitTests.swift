import Primitives
import Testing
import Views

/// The member's side of the fence: whose answers count, and for how long.
@Suite struct StartPermitTests {
    private static let me = member("a")
    private let f = Limits.fence

    private static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private static func permit(_ members: String, voters: String, as id: NodeID = me.id) -> StartPermit {
        var permit = StartPermit()
        permit.install(makeView(members, voters: voters, ledgers: [ledger(1, "a")]), as: id)
        return permit
    }

    /// Voters that have answered requests sent at 0, and whether that is enough.
    @Test(arguments: [
        ("a", "", false), ("a", "a", true), ("b", "a", false), ("b", "b", true),
        ("ab", "a", false), ("ab", "b", false), ("ab", "ab", true),
        ("abc", "a", false), ("abc", "ab", true), ("abc", "bc", true), ("abc", "d", false), ("abc", "ad", false),
        ("abcde", "bc", false), ("abcde", "bcd", true),
    ])
    func aMajorityOfTheVotersIsNeeded(voters: String, answers: String, isValid: Bool) {
        var permit = Self.permit("abcde", voters: voters)
        let number = permit.ask(at: .zero)
        for letter in answers { permit.granted(number, by: member(String(letter)).voter) }
        #expect(permit.isValid(at: Self.at(1)) == isValid)
        let end: Instant? = isValid ? Instant.zero + f : nil
        #expect(permit.expiresAt == end)
        let needed = permit.standing(at: Self.at(1)).needed
        #expect(needed == voters.count / 2 + 1)
    }

    /// The request counts, however late the answer.
    @Test func anAnswerCountsFromWhenItsRequestWasSent() {
        var permit = Self.permit("ab", voters: "b")
        let first = permit.ask(at: Self.at(100))
        _ = permit.ask(at: Self.at(1600))
        permit.granted(first, by: member("b").voter)
        #expect(permit.expiresAt == Self.at(100) + f)
        #expect(permit.isValid(at: Self.at(100) + f - .nanoseconds(1)))
        #expect(!permit.isValid(at: Self.at(100) + f))
    }

    @Test func theOldestOfTheMajoritysNewestRequestsDecides() {
        var permit = Self.permit("abcde", voters: "abcde")
        let numbers = [0, 300, 500, 700].map { permit.ask(at: Self.at($0)) }
        permit.granted(numbers[0], by: member("a").voter)
        permit.granted(numbers[1], by: member("b").voter)
        permit.granted(numbers[3], by: member("c").voter)
        #expect(permit.expiresAt == Self.at(0) + f)
        permit.granted(numbers[2], by: member("d").voter)
        #expect(permit.expiresAt == Self.at(300) + f)
        // An older answer that comes late takes nothing back.
        permit.granted(numbers[0], by: member("d").voter)
        #expect(permit.expiresAt == Self.at(300) + f)
        let answered = permit.standing(at: Self.at(0) + f).answered
        #expect(answered == 3)
    }

    @Test func answersToUnknownOrOldRequestsDoNotCount() {
        var permit = Self.permit("ab", voters: "b")
        permit.granted(1, by: member("b").voter)
        let first = permit.ask(at: .zero)
        permit.granted(first + 1, by: member("b").voter)
        #expect(permit.expiresAt == nil)
        // Forgotten after F, and beyond the limit of what is remembered.
        _ = permit.ask(at: .zero + f)
        permit.granted(first, by: member("b").voter)
        #expect(permit.expiresAt == nil)
        let early = permit.ask(at: Self.at(3000))
        for _ in 0..<Limits.permitRequests { _ = permit.ask(at: Self.at(3000)) }
        permit.granted(early, by: member("b").voter)
        #expect(permit.expiresAt == nil)
        permit.granted(early + 1, by: member("b").voter)
        #expect(permit.expiresAt == Self.at(3000) + f)
    }

    @Test func aVoterWithAnotherDiskDoesNotCount() {
        var permit = Self.permit("ab", voters: "b")
        let number = permit.ask(at: .zero)
        permit.granted(number, by: member("b", disk: 77).voter)
        #expect(permit.expiresAt == nil)
    }

    @Test func whoIsNoMemberHasNoLeave() {
        for id in [member("f").id, member("a", generation: 2).id] {
            var permit = Self.permit("abc", voters: "abc", as: id)
            let number = permit.ask(at: .zero)
            for letter in ["a", "b", "c"] { permit.granted(number, by: member(letter).voter) }
            #expect(permit.expiresAt == nil)
        }
        #expect(StartPermit().expiresAt == nil)
    }

    // MARK: Views

    private static func view(_ members: String, voters: String, number: UInt64) -> View {
        makeView(members, voters: voters, ledgers: [ledger(1, "a")], number: number)
    }

    @Test func answersOfVotersWhoStillVoteStay() {
        var permit = Self.permit("abcde", voters: "abc")
        let number = permit.ask(at: .zero)
        for letter in ["b", "c"] { permit.granted(number, by: member(letter).voter) }
        #expect(permit.isValid(at: Self.at(1)))
        permit.install(Self.view("abcde", voters: "bcd", number: 6), as: Self.me.id)
        #expect(permit.isValid(at: Self.at(1)))
        permit.install(Self.view("abcde", voters: "cde", number: 7), as: Self.me.id)
        #expect(!permit.isValid(at: Self.at(1)))
        // Who votes again has to answer again.
        permit.install(Self.view("abcde", voters: "abc", number: 8), as: Self.me.id)
        #expect(!permit.isValid(at: Self.at(1)))
        permit.granted(number, by: member("a").voter)
        #expect(permit.isValid(at: Self.at(1)))
    }

    @Test func theLastOfTwoVotersNeedsOnlyItself() {
        var permit = Self.permit("ab", voters: "ab")
        let number = permit.ask(at: .zero)
        permit.granted(number, by: Self.me.voter)
        #expect(!permit.isValid(at: Self.at(1)))
        permit.install(Self.view("a", voters: "a", number: 6), as: Self.me.id)
        #expect(permit.isValid(at: Self.at(1)))
    }

    @Test func whoIsRemovedAsksAnew() {
        var permit = Self.permit("ab", voters: "b")
        let number = permit.ask(at: .zero)
        permit.granted(number, by: member("b").voter)
        permit.install(Self.view("b", voters: "b", number: 6), as: Self.me.id)
        #expect(permit.expiresAt == nil)
        permit.install(Self.view("ab", voters: "b", number: 7), as: Self.me.id)
        #expect(permit.expiresAt == nil)
        permit.granted(number, by: member("b").voter)
        #expect(permit.expiresAt == nil, "a request of before")
        permit.granted(permit.ask(at: Self.at(5)), by: member("b").voter)
        #expect(permit.expiresAt == Self.at(5) + f)
    }

    // MARK: Pauses

    @Test func aPauseMakesAllVoidThatWasSentBefore() {
        var permit = Self.permit("abc", voters: "abc")
        let first = permit.ask(at: .zero)
        for letter in ["a", "b", "c"] { permit.granted(first, by: member(letter).voter) }
        let late = permit.ask(at: Self.at(500))
        permit.paused()
        #expect(!permit.isValid(at: Self.at(1700)))
        // The answers to what was on its way come now.
        for letter in ["a", "b", "c"] { permit.granted(late, by: member(letter).voter) }
        #expect(!permit.isValid(at: Self.at(1700)))
        let next = permit.ask(at: Self.at(1700))
        permit.granted(next, by: member("b").voter)
        #expect(!permit.isValid(at: Self.at(1700)), "one of three")
        permit.granted(next, by: member("c").voter)
        #expect(permit.expiresAt == Self.at(1700) + f)
    }

    @Test func revokingIsAsIfNobodyHadBeenAsked() {
        var permit = Self.permit("ab", voters: "b")
        let number = permit.ask(at: .zero)
        permit.granted(number, by: member("b").voter)
        permit.revoke()
        permit.granted(number, by: member("b").voter)
        #expect(permit.expiresAt == nil)
    }

    @Test func theLimitsFitTheRule() {
        #expect(Limits.fence == .seconds(2))
        #expect(Limits.fencePeriod == .milliseconds(500))
        #expect(Limits.fencePause == .seconds(1))
        #expect(Limits.fenceRest == .milliseconds(2040))
    }
}

import Primitives
import Testing
import Views

/// What is refused from peers and disks, and as a successor.
@Suite struct ViewValidationTests {
    struct Case: CustomTestStringConvertible {
        let title: String
        let change: @Sendable (inout View) -> Void
        var testDescription: String { title }
    }

    static let malformed: [Case] = [
        Case(title: "no number") { $0.number = 0 },
        Case(title: "members out of order") { $0.members.swapAt(0, 1) },
        Case(title: "a member twice") { $0.members.append(member("d", generation: 2)) },
        Case(title: "no voters") { $0.voters = [] },
        Case(title: "a mark of the tie-breaker for three voters") { $0.tieMark = 1 },
        Case(title: "exits out of order") { $0.exits = [member("z").id, member("y").id] },
        Case(title: "an exit twice") { $0.exits = [member("z").id, member("z").id] },
        Case(title: "a member's exit") { $0.exits = [member("a").id] },
        Case(title: "voters out of order") { $0.voters.swapAt(0, 1) },
        Case(title: "voter with another disk") { $0.voters[0].store = StoreID(1) },
        Case(title: "voter that is no member") { $0.voters[2] = member("z").voter },
        Case(title: "nine voters") { view in
            view.members = "abcdefghi".map { member(String($0)) }
            view.voters = view.members.map(\.voter)
        },
        Case(title: "ledger twice") { $0.ledgers[1].id = LedgerID(1) },
        Case(title: "ledger 0") { $0.ledgers[0].id = LedgerID(0) },
        Case(title: "next ledger is taken") { $0.nextLedger = LedgerID(2) },
        Case(title: "term 0") { $0.ledgers[0].term = Term(0) },
        Case(title: "primary is its backup") { $0.ledgers[0].backups = [member("a").replica] },
        Case(title: "backups out of order") { $0.ledgers[0].backups = ["c", "b"].map { member($0).replica } },
        Case(title: "too many backups") { $0.ledgers[0].backups = "bcdefghi".map { member(String($0)).replica } },
        Case(title: "a slot too few") { $0.slots.removeLast() },
        Case(title: "slot of an unlisted ledger") { $0.slots[255] = LedgerID(9) },
        Case(title: "slot of no ledger while there are some") { $0.slots[0] = LedgerID(0) },
        Case(title: "slot without any ledger") { $0.ledgers = [] },
        Case(title: "no copies") { $0.settings.copies = 0 },
        Case(title: "six copies") { $0.settings.copies = 6 },
        Case(title: "too many losses") {
            $0.losses = (0..<17).map { LedgerLoss(ledger: LedgerID($0), primary: name("z"), view: 1) }
        },
        Case(title: "too many ledgers") { view in
            view.ledgers = (1...1025).map { ledger($0, "a") }
            view.nextLedger = LedgerID(2000)
        },
        Case(title: "too many members") { view in
            view.members += (0..<253).map { number in
                Member(
                    id: NodeID(name: name("n\(1000 + number)"), generation: Generation(1)), profile: member("a").profile
                )
            }
        },
    ]

    @Test(arguments: malformed) func brokenInvariantIsRefused(example: Case) throws {
        var view = Example.view
        try view.validate()
        example.change(&view)
        #expect {
            try view.validate()
        } throws: { error in
            if case .malformed = error as? ViewError { true } else { false }
        }
    }

    static let illegal: [Case] = [
        Case(title: "a number is skipped") { $0.number += 1 },
        Case(title: "another cluster") { $0.cluster = ClusterID(high: 0, low: 0) },
        Case(title: "the term falls") { $0.ledgers[0].term = Term(2) },
        Case(title: "another primary in the term") {
            $0.ledgers[0].primary = member("b").replica
            $0.ledgers[0].backups = []
        },
        Case(title: "an unlisted replica takes over") {
            $0.ledgers[0].primary = member("c").replica
            $0.ledgers[0].term = Term(4)
        },
        Case(title: "a takeover lists a learner") {
            $0.ledgers[0].term = Term(4)
            $0.ledgers[0].backups.append(member("c").replica)
        },
        Case(title: "a store that was wiped takes over") {
            $0.ledgers[0].primary.store = StoreID(1)
            $0.ledgers[0].term = Term(4)
        },
        Case(title: "a restarted primary resumes its term") { $0.members[0].id = member("a", generation: 2).id },
        Case(title: "another founder") { $0.ledgers[0].founder = member("c").replica },
        Case(title: "the exit of one that was no member") { $0.exits = [member("z").id] },
        Case(title: "the exit of another generation") { $0.exits = [member("d", generation: 2).id] },
        Case(title: "a number is used again") { $0.ledgers.insert(ledger(2, "c"), at: 1) },
        Case(title: "the next ledger falls") {
            $0.ledgers.removeLast()
            $0.slots = Array(repeating: LedgerID(1), count: Limits.keySlots)
            $0.nextLedger = LedgerID(3)
        },
        Case(title: "a new ledger with backups") {
            $0.ledgers.append(ledger(4, "c", "d"))
            $0.nextLedger = LedgerID(5)
        },
    ]

    static let before = makeView("abcd", voters: "abc", ledgers: [ledger(1, "a", "b", term: 3), ledger(3, "b", "c")])

    @Test(arguments: illegal) func illegalChangeIsRefused(example: Case) throws {
        var view = Example.following(Self.before) { _ in }
        try view.validate(after: Self.before)
        example.change(&view)
        try view.validate()
        #expect {
            try view.validate(after: Self.before)
        } throws: { error in
            if case .illegalChange = error as? ViewError { true } else { false }
        }
    }
}

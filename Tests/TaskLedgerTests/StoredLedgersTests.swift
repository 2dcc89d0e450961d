import Primitives
import Testing

@testable import TaskLedger

/// What a journal's records add up to.
@Suite struct StoredLedgersTests {
    static let other = LedgerID(2)

    /// Entries `range` of term 1, committed up to `committed`.
    static func entries(
        _ range: ClosedRange<UInt64>, of ledger: LedgerID = Sample.ledger, into target: JournalRecord.Target = .held,
        committed: UInt64 = 0
    ) -> JournalRecord {
        .entries(ledger, target, range.map { Sample.entry(1, $0) }, committed: committed)
    }

    static func record(_ number: UInt64) -> TaskRecord { TaskRecord(Sample.acceptance(number)) }

    static func fold(_ records: [JournalRecord]) throws(StoredLedgers.Damage) -> StoredLedgers {
        var stored = StoredLedgers()
        for record in records { try stored.apply(record) }
        return stored
    }

    static func tasks(_ stored: StoredLedgers, of ledger: LedgerID = Sample.ledger) -> [UInt64]? {
        stored.copies.first { $0.id == ledger }?.state.sortedIDs.map(\.low)
    }

    @Test func entriesOfSeveralLedgersAreToldApart() throws {
        let stored = try Self.fold([
            Self.entries(1...2), Self.entries(1...1, of: Self.other), Self.entries(3...3, committed: 2), .opened,
        ])
        #expect(stored.copies.map(\.id) == [Sample.ledger, Self.other])
        #expect(Self.tasks(stored) == [1, 2, 3])
        #expect(stored.copies.first?.last == Sample.place(1, 3))
        #expect(stored.copies.first?.committed == 2)
        #expect(stored.copies.first?.uncommitted == [Sample.entry(1, 3)])
        #expect(Self.tasks(stored, of: Self.other) == [1])
    }

    @Test func aTermThatWasSeenIsRemembered() throws {
        let stored = try Self.fold([Self.entries(1...1), .seen(Sample.ledger, Term(4)), .seen(Self.other, Term(2))])
        #expect(stored.copies.map(\.seen) == [Term(4), Term(2)])
    }

    static let misfits: [[JournalRecord]] = [
        [entries(2...2)], [entries(1...2), entries(4...4)], [entries(1...2), entries(2...3)],
        [
            .entries(Sample.ledger, .held, [Sample.entry(2, 1)], committed: 0),
            .entries(Sample.ledger, .held, [Sample.entry(1, 2)], committed: 0),
        ],
        [entries(1...1, into: .incoming)], [.copyRecords(Sample.ledger, .incoming, [])],
        [.copyRecords(Sample.ledger, .snapshot, [])],
        [.copyEnds(Sample.ledger, .incoming, committed: 0, forgottenUpTo: nil)],
        [entries(1...2), .dropped(Sample.ledger), entries(3...3)],
    ]

    @Test(arguments: misfits.indices) func whatDoesNotFitIsDamage(_ index: Int) {
        #expect(throws: StoredLedgers.Damage.self) { try Self.fold(Self.misfits[index]) }
    }

    @Test func aCopyThatIsSentReplacesWithItsEnd() throws {
        var records: [JournalRecord] = [
            Self.entries(1...3), .copyBegins(Sample.ledger, .incoming, place: Sample.place(1, 7), seen: Term(1)),
            .copyRecords(Sample.ledger, .incoming, [Self.record(5)]), Self.entries(8...8, into: .incoming),
            .copyRecords(Sample.ledger, .incoming, [Self.record(6)]),
        ]
        #expect(Self.tasks(try Self.fold(records)) == [1, 2, 3])
        records.append(.copyEnds(Sample.ledger, .incoming, committed: 8, forgottenUpTo: Sample.task(4)))
        let stored = try Self.fold(records + [Self.entries(9...9)])
        #expect(Self.tasks(stored) == [5, 6, 8, 9])
        #expect(stored.copies.first?.state.mayHaveForgotten(Sample.task(4)) == true)
        #expect(stored.copies.first?.state.mayHaveForgotten(Sample.task(10)) == false)
    }

    /// The journal begins with the mark: what came before it is gone.
    @Test func aSnapshotStandsForWhatCameBefore() throws {
        var stored = StoredLedgers()
        stored.snapshotBegan()
        // Not yet written anew, and its history is gone: its copy, which comes, has this.
        try stored.apply(Self.entries(8...8))
        try stored.apply(.copyBegins(Sample.ledger, .snapshot, place: Sample.place(1, 8), seen: Term(3)))
        try stored.apply(.copyTail(Sample.ledger, .snapshot, [Sample.entry(1, 8)]))
        try stored.apply(.copyRecords(Sample.ledger, .snapshot, [Self.record(2)]))
        try stored.apply(Self.entries(9...9))
        try stored.apply(.copyRecords(Sample.ledger, .snapshot, [Self.record(8)]))
        try stored.apply(.copyEnds(Sample.ledger, .snapshot, committed: 7, forgottenUpTo: nil))
        try stored.apply(Self.entries(10...10))
        try stored.apply(Self.entries(1...1, of: Self.other))
        stored.snapshotEnded()
        try stored.apply(Self.entries(11...11))
        #expect(Self.tasks(stored) == [2, 8, 9, 10, 11])
        #expect(stored.copies.first?.seen == Term(3))
        #expect(stored.copies.first?.uncommitted.map(\.place.sequence) == [8, 9, 10, 11])
        #expect(Self.tasks(stored, of: Self.other) == [1])
    }

    @Test func aSnapshotWithoutItsEndIsDiscarded() throws {
        var stored = try Self.fold([Self.entries(1...2)])
        stored.snapshotBegan()
        try stored.apply(.copyBegins(Sample.ledger, .snapshot, place: Sample.place(1, 2), seen: Term(1)))
        try stored.apply(Self.entries(3...3))
        #expect(Self.tasks(stored) == [1, 2, 3])
        // The next one begins anew.
        stored.snapshotBegan()
        stored.snapshotEnded()
        #expect(Self.tasks(stored) == [1, 2, 3])
    }

    @Test func aCopyThatIsSentWhileASnapshotIsWrittenReplacesBoth() throws {
        var stored = try Self.fold([Self.entries(1...2)])
        stored.snapshotBegan()
        try stored.apply(.copyBegins(Sample.ledger, .snapshot, place: Sample.place(1, 2), seen: Term(1)))
        try stored.apply(.copyBegins(Sample.ledger, .incoming, place: Sample.place(2, 9), seen: Term(2)))
        try stored.apply(.copyRecords(Sample.ledger, .incoming, [Self.record(7)]))
        try stored.apply(.copyEnds(Sample.ledger, .incoming, committed: 9, forgottenUpTo: nil))
        try stored.apply(.copyRecords(Sample.ledger, .snapshot, [Self.record(7)]))
        try stored.apply(.copyEnds(Sample.ledger, .snapshot, committed: 9, forgottenUpTo: nil))
        stored.snapshotEnded()
        #expect(Self.tasks(stored) == [7])
        #expect(stored.copies.first?.last == Sample.place(2, 9))
    }

    @Test func writerCoversLedgersThatComeAndGo() throws {
        var held: [LedgerID: LedgerCopy] = [:]
        for id in [Sample.ledger, Self.other] {
            var copy = LedgerCopy(id: id)
            for sequence in 1...4 { copy.take(Sample.entry(1, UInt64(sequence))) }
            held[id] = copy
        }
        var writer = SnapshotWriter()
        var stored = StoredLedgers()
        stored.snapshotBegan()
        var parts = 0
        while let part = writer.next(ledgers: held.keys.sorted(), bytes: 1, copy: { held[$0] }) {
            for record in part { try stored.apply(record) }
            parts += 1
            if parts == 2 {
                held[Sample.ledger] = nil
                writer.dropped(Sample.ledger)
                try stored.apply(.dropped(Sample.ledger))
            } else if parts == 3 {
                // It comes back, as another copy.
                held[Sample.ledger] = LedgerCopy(id: Sample.ledger, last: Sample.place(2, 1))
            }
        }
        stored.snapshotEnded()
        #expect(parts > 5, "a task a part")
        #expect(Self.tasks(stored) == [])
        #expect(stored.copies.first?.last == Sample.place(2, 1))
        #expect(Self.tasks(stored, of: Self.other) == [1, 2, 3, 4])
    }
}

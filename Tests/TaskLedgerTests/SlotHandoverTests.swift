import Primitives
import Testing

@testable import TaskLedger

/// Key slots on their way from one home to another.
@Suite struct SlotHandoverTests {
    static let slot = KeySlot(of: "k", in: .idempotency)
    static let moves = [SlotMove(slot: slot, to: LedgerID(2))]

    private func shipments(_ bench: inout OwnerBench) -> [KeyShipment] {
        bench.collect()
        upkeep(&bench)
        defer { bench.effects = [] }
        return bench.effects.compactMap { if case .ship(let shipment) = $0 { shipment } else { nil } }
    }

    private func upkeep(_ bench: inout OwnerBench) {
        bench.owner.lookAfterReplicas(
            candidates: [], copies: 1, at: bench.now, isLinked: { _ in true }, into: &bench.effects)
    }

    private func isSaid(_ bench: inout OwnerBench) -> Bool {
        upkeep(&bench)
        defer { bench.effects = [] }
        return bench.effects.contains { effect in
            if case .slotsShipped(Sample.ledger, Term(1), Self.moves, view: 3) = effect { true } else { false }
        }
    }

    @Test func freezeShipTellOpen() throws {
        var bench = KeyedSubmissionTests.bench()
        _ = try bench.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(1))
        bench.install(view: 3, slots: KeyedSubmissionTests.allSlots, moves: Self.moves)
        #expect(throws: KeyedRefusal.moving) {
            try bench.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(2))
        }
        let shipment = try #require(shipments(&bench).first)
        #expect(shipment.bindings.map(\.task) == [Sample.task(1)] && shipment.to == LedgerID(2) && shipment.view == 3)
        #expect(!isSaid(&bench), "not before the keys are bound")
        bench.owner.shipped(shipment, isBound: false, into: &bench.effects)
        let again = try #require(shipments(&bench).first)
        #expect(again == shipment)
        bench.owner.shipped(again, isBound: true, into: &bench.effects)
        #expect(isSaid(&bench))
        #expect(isSaid(&bench), "a voter may have missed it")

        // The other home, which opens with the next view.
        var other = OwnerBench()
        other.install(view: 3)
        let toMine = KeyShipment(from: LedgerID(9), view: 3, to: Sample.ledger, bindings: shipment.bindings)
        let isTaken = other.owner.take(toMine, request: 5)
        #expect(isTaken)
        #expect(throws: KeyedRefusal.notHome) {
            try other.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(2))
        }
        other.install(view: 4, slots: [Self.slot])
        #expect(
            try other.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(2)) == [
                .repeated(Sample.task(1))
            ])
    }

    @Test func withoutKeysNothingIsShipped() {
        var bench = KeyedSubmissionTests.bench()
        bench.install(view: 3, slots: KeyedSubmissionTests.allSlots, moves: Self.moves)
        #expect(shipments(&bench).isEmpty)
        #expect(isSaid(&bench))
    }

    @Test func anotherViewBeginsAnew() throws {
        var bench = KeyedSubmissionTests.bench()
        _ = try bench.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(1))
        bench.install(view: 3, slots: KeyedSubmissionTests.allSlots, moves: Self.moves)
        let shipment = try #require(shipments(&bench).first)
        bench.install(view: 4, slots: KeyedSubmissionTests.allSlots)
        #expect(
            try bench.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(2)) == [
                .repeated(Sample.task(1))
            ])
        bench.owner.shipped(shipment, isBound: true, into: &bench.effects)
        #expect(!isSaid(&bench))
    }

    @Test func whatWasAcceptedBeforeHasToBeCommittedFirst() throws {
        let backup = Sample.replica("b")
        var bench = KeyedSubmissionTests.bench(backups: [backup])
        _ = try bench.submitKeyed(KeyedSubmissionTests.spec(key: "k"), id: Sample.task(1))
        bench.install(view: 3, backups: [backup], slots: KeyedSubmissionTests.allSlots, moves: Self.moves)
        #expect(shipments(&bench).isEmpty)
    }

    @Test func anOpenOrderKeepsItsSlot() throws {
        let slot = KeySlot(of: "o", in: .ordering)
        var bench = KeyedSubmissionTests.bench()
        _ = try bench.submitKeyed(KeyedSubmissionTests.spec(order: "o"), id: Sample.task(1))
        bench.install(
            view: 3, slots: KeyedSubmissionTests.allSlots, moves: [SlotMove(slot: slot, to: LedgerID(2))])
        #expect(
            try bench.submitKeyed(KeyedSubmissionTests.spec(order: "o"), id: Sample.task(2)) == [
                .accepted(Sample.task(2))
            ])
        for _ in 0..<2 {
            bench.report(try #require(bench.turn().starts.first).attempt, .completed([]))
            bench.collect()
        }
        upkeep(&bench)
        #expect(throws: KeyedRefusal.moving) {
            try bench.submitKeyed(KeyedSubmissionTests.spec(order: "o"), id: Sample.task(3))
        }
    }

    /// A whole copy of a ledger has its keys, those of forgotten tasks too; on the disk as well.
    @Test func aCopyHasTheKeys() throws {
        var source = LedgerPrimary<Int>(LedgerCopy(id: Sample.ledger), term: .first, viewNumber: 1)
        let binding = KeyBinding(
            name: KeyName(key: "k"), body: BodyDigest(high: 1, low: 2), task: Sample.task(7), until: Sample.instant(9))
        source.append(.bound([binding]))
        for number in 1...20_000 { source.append(.duplicateDiscarded(Sample.task(UInt64(number)))) }
        _ = source.takeUnwritten()
        source.madeDurable(upTo: .max)
        _ = source.takeCommitted()
        source.addLearner(Sample.replica("b"))
        var replica = Replica(id: Sample.ledger)
        var journal: [JournalRecord] = []
        for _ in 0..<10 {
            var effects: [ReplicationEffect] = []
            source.flush(isLinked: { _ in true }, into: &effects)
            for effect in effects {
                let reply: ReplicaReply
                let epochOfReply: UInt32
                switch effect {
                case .append(let request, _, let epoch):
                    (reply, epochOfReply) = (replica.handle(request, into: &journal), epoch)
                case .copy(let request, _, let epoch):
                    (reply, epochOfReply) = (replica.handle(request, into: &journal), epoch)
                default: continue
                }
                var more: [ReplicationEffect] = []
                _ = source.handle(reply, from: Sample.name("b"), epoch: epochOfReply, at: .zero, into: &more)
            }
        }
        #expect(replica.copy.state.keys[binding.name] == binding)
        #expect(journal.contains { if case .copyKeys(_, .incoming, [binding]) = $0 { true } else { false } })
        var stored = StoredLedgers()
        for record in journal { try stored.apply(record) }
        #expect(stored.copies.first?.state.keys[binding.name] == binding)

        var writer = SnapshotWriter()
        stored.snapshotBegan()
        while let records = writer.next(ledgers: [Sample.ledger], bytes: 64, copy: { _ in replica.copy }) {
            for record in records { try stored.apply(record) }
        }
        stored.snapshotEnded()
        #expect(stored.copies.first?.state.keys[binding.name] == binding)
    }
}

import Primitives
import Testing

@testable import TaskLedger

/// What a copy can tell about its history, and what it still holds of it.
@Suite struct LedgerCopyTests {
    static func copy(_ entries: [LedgerEntry]) -> LedgerCopy {
        var copy = LedgerCopy(id: Sample.ledger)
        for entry in entries { copy.take(entry) }
        return copy
    }

    @Test func containsTellsHistoriesApart() {
        let copy = Self.copy([Sample.entry(1, 1), Sample.entry(1, 2), Sample.entry(3, 3)])
        #expect(copy.contains(.start) == true)
        #expect(copy.contains(Sample.place(1, 2)) == true)
        #expect(copy.contains(Sample.place(3, 3)) == true)
        #expect(copy.contains(Sample.place(2, 2)) == false)
        #expect(copy.contains(Sample.place(2, 3)) == false)
        #expect(copy.contains(Sample.place(3, 4)) == false)
    }

    @Test func wholeCopyCannotTellWhatCameBefore() {
        var copy = LedgerCopy(id: Sample.ledger, last: Sample.place(2, 10))
        #expect(copy.contains(Sample.place(2, 10)) == true)
        #expect(copy.contains(Sample.place(1, 10)) == false)
        #expect(copy.contains(Sample.place(1, 9)) == nil)
        copy.take(Sample.entry(2, 11))
        #expect(copy.contains(Sample.place(2, 11)) == true)
        #expect(copy.contains(Sample.place(2, 10)) == nil)
        #expect(copy.entries(after: 9, bytes: 1000) == nil)
        #expect(copy.entries(after: 10, bytes: 1000)?.count == 1)
        #expect(copy.entries(after: 11, bytes: 1000)?.isEmpty == true)
        #expect(copy.place(at: 9) == nil)
    }

    @Test func batchesAreBoundedByBytesAndNeverEmpty() {
        let copy = Self.copy((1...5).map { Sample.entry(1, $0, payload: 1000) })
        #expect(copy.entries(after: 0, bytes: 1)?.count == 1)
        #expect(copy.entries(after: 0, bytes: 3 * Sample.entry(1, 1, payload: 1000).event.cost)?.count == 3)
        #expect(copy.entries(after: 3, bytes: .max)?.map(\.place.sequence) == [4, 5])
    }

    @Test func onlyCommittedEntriesAreTrimmed() {
        var copy = Self.copy((1...20).map { Sample.entry(1, $0, payload: 1 << 20) })
        #expect(copy.recent.count == 20)
        copy.commit(upTo: 5)
        #expect(copy.recent.first?.place.sequence == 6)
        copy.commit(upTo: 20)
        #expect(copy.recent.reduce(0) { $0 + $1.event.cost } <= Limits.recentBytes)
        #expect(copy.recent.last?.place == copy.last)
        #expect(copy.state.tasks.count == 20)
    }

    @Test func committedEntriesAreKeptUpToTheirLimit() {
        var copy = LedgerCopy(id: Sample.ledger)
        for _ in 0...Limits.recentEntries {
            _ = copy.append(.cancelRequested(Sample.task(1), at: Sample.at), in: .first)
        }
        copy.commit(upTo: .max)
        #expect(copy.committed == copy.last.sequence)
        #expect(copy.recent.count == Limits.recentEntries)
    }
}

/// What a replica answers (rule R2).
@Suite struct ReplicaTests {
    static func replica(_ entries: [LedgerEntry] = [], committed: UInt64 = 0) -> Replica {
        var copy = LedgerCopyTests.copy(entries)
        copy.commit(upTo: committed)
        return Replica(copy)
    }

    static let history = [Sample.entry(1, 1), Sample.entry(1, 2), Sample.entry(1, 3)]

    /// Requests to a replica at 1:3 of which 1:1 is known to be committed, and its answers.
    static let table: [(request: AppendRequest, reply: ReplicaReply)] = [
        (Sample.append(1, after: Sample.place(1, 3)), .held(Sample.place(1, 3))),
        (Sample.append(1, after: Sample.place(1, 3), [Sample.entry(1, 4)]), .held(Sample.place(1, 4))),
        (Sample.append(2, after: Sample.place(1, 3), [Sample.entry(2, 4)]), .held(Sample.place(2, 4))),
        // Sent again after a broken link, by the same primary.
        (Sample.append(1, after: Sample.place(1, 1), [history[1]]), .held(Sample.place(1, 3))),
        (Sample.append(1, after: .start, history + [Sample.entry(1, 4)]), .held(Sample.place(1, 4))),
        // A later primary that ends earlier: the rest is its own.
        (Sample.append(2, after: Sample.place(1, 1), [history[1]]), mismatch(Sample.place(1, 3), Array(history[1...]))),
        (Sample.append(2, after: Sample.place(1, 2)), mismatch(Sample.place(1, 3), Array(history[1...]))),
        // Another history.
        (Sample.append(3, after: Sample.place(2, 3)), mismatch(Sample.place(1, 3), Array(history[1...]))),
        (Sample.append(3, after: Sample.place(2, 9), offerAfter: 2), mismatch(Sample.place(1, 3), [history[2]])),
        (
            Sample.append(3, after: Sample.place(1, 2), [Sample.entry(2, 3)]),
            mismatch(Sample.place(1, 3), Array(history[1...]))
        ),
        // A gap.
        (
            Sample.append(1, after: Sample.place(1, 3), [Sample.entry(1, 5)]),
            mismatch(Sample.place(1, 3), Array(history[1...]))
        ),
        // From the future of the request's own term.
        (
            Sample.append(1, after: Sample.place(1, 3), [Sample.entry(2, 4)]),
            mismatch(Sample.place(1, 3), Array(history[1...]))
        ),
    ]

    static func mismatch(_ last: Place, _ tail: [LedgerEntry]) -> ReplicaReply {
        .mismatch(last: last, tail: tail, isWhole: true)
    }

    @Test(arguments: table) func appendIsAnsweredByTheTable(request: AppendRequest, reply: ReplicaReply) {
        var replica = Self.replica(Self.history, committed: 1)
        #expect(replica.handle(request) == reply)
        #expect(replica.followed == request.term)
    }

    @Test func sealedReplicaRefusesLowerTerms() {
        var replica = Self.replica(Self.history)
        replica.seal(Term(2))
        #expect(replica.handle(Sample.append(1, after: Sample.place(1, 3))) == .sealed(Term(2)))
        #expect(replica.handle(Sample.append(2, after: Sample.place(1, 3))) == .held(Sample.place(1, 3)))
        _ = replica.handle(Sample.append(5, after: Sample.place(1, 3)))
        #expect(replica.handle(Sample.append(4, after: Sample.place(1, 3))) == .sealed(Term(5)))
        let copy = CopyRequest(
            ledger: Sample.ledger, term: Term(4), number: 1, isFirst: true, isLast: true, place: .start, records: [],
            committed: 0)
        #expect(replica.handle(copy) == .sealed(Term(5)))
    }

    static func chunk(
        _ first: Bool, _ last: Bool, _ place: Place, _ tasks: [UInt64], term: UInt64 = 2, number: UInt64 = 1
    ) -> CopyRequest {
        CopyRequest(
            ledger: Sample.ledger, term: Term(term), number: number, isFirst: first, isLast: last, place: place,
            records: tasks.map { TaskRecord(Sample.acceptance($0)) }, committed: 0)
    }

    @Test func copyReplacesAllAtOnceWithItsLastChunk() {
        var replica = Self.replica(Self.history)
        #expect(replica.handle(Self.chunk(true, false, Sample.place(2, 9), [11])) == .copying)
        #expect(replica.handle(Sample.append(2, after: Sample.place(2, 9), [Sample.entry(2, 10)])) == .copying)
        #expect(replica.copy.last == Sample.place(1, 3), "what it has acknowledged stays until the last chunk")
        #expect(replica.handle(Self.chunk(false, true, Sample.place(2, 10), [12])) == .held(Sample.place(2, 10)))
        #expect(replica.copy.state.sortedIDs == [10, 11, 12].map(Sample.task))
    }

    @Test func chunkThatDoesNotFollowIsRefused() {
        var replica = Self.replica(Self.history)
        #expect(
            replica.handle(Self.chunk(false, true, Sample.place(2, 9), [11])) == Self.mismatch(Sample.place(1, 3), []))
        _ = replica.handle(Self.chunk(true, false, Sample.place(2, 9), [11]))
        #expect(
            replica.handle(Self.chunk(false, true, Sample.place(2, 10), [12])) == Self.mismatch(Sample.place(1, 3), []))
        _ = replica.handle(Self.chunk(true, false, Sample.place(2, 9), [11]))
        #expect(
            replica.handle(Self.chunk(false, true, Sample.place(2, 9), [12], term: 3))
                == Self.mismatch(Sample.place(1, 3), []))
        #expect(replica.copy.last == Sample.place(1, 3))
    }

    /// A link that broke may deliver what it had after the next link has: that does not undo what was acknowledged since.
    @Test func copyThatIsOlderThanWhatIsHeldIsRefused() {
        var replica = Self.replica(Self.history)
        #expect(
            replica.handle(Self.chunk(true, true, Sample.place(2, 9), [11], number: 2)) == .held(Sample.place(2, 9)))
        #expect(
            replica.handle(Sample.append(2, after: Sample.place(2, 9), [Sample.entry(2, 10)]))
                == .held(Sample.place(2, 10)))
        for number in [1, 2, 3] as [UInt64] {
            #expect(
                replica.handle(Self.chunk(true, true, Sample.place(2, 8), [12], number: number))
                    == Self.mismatch(Sample.place(2, 10), []))
            #expect(
                replica.handle(Self.chunk(true, false, Sample.place(1, 9), [12], number: number))
                    == Self.mismatch(Sample.place(2, 10), []))
        }
        #expect(!replica.isReceiving)
        #expect(replica.copy.state.sortedIDs == [10, 11].map(Sample.task))
        // What another primary sends may be shorter: the rest was never committed.
        #expect(
            replica.handle(Self.chunk(true, true, Sample.place(2, 9), [11], term: 3, number: 1))
                == .held(Sample.place(2, 9)))
    }

    @Test func chunksOfTwoCopiesMakeNoWhole() {
        var replica = Self.replica(Self.history)
        _ = replica.handle(Self.chunk(true, false, Sample.place(2, 9), [11], number: 2))
        #expect(
            replica.handle(Self.chunk(false, true, Sample.place(2, 9), [13], number: 1))
                == Self.mismatch(Sample.place(1, 3), []))
        #expect(replica.copy.last == Sample.place(1, 3))
        _ = replica.handle(Self.chunk(true, false, Sample.place(2, 9), [11], number: 3))
        _ = replica.handle(Self.chunk(false, false, Sample.place(2, 9), [12], number: 3))
        #expect(
            replica.handle(Self.chunk(false, true, Sample.place(2, 9), [13], number: 3)) == .held(Sample.place(2, 9)))
        #expect(replica.copy.state.sortedIDs == [11, 12, 13].map(Sample.task))
    }

    /// The link broke during a copy: a primary that asks where the replica is wants to know what counts.
    @Test func probeAbandonsAnUnfinishedCopy() {
        var replica = Self.replica(Self.history)
        _ = replica.handle(Self.chunk(true, false, Sample.place(2, 9), [11]))
        #expect(
            replica.handle(Sample.append(2, after: Sample.place(2, 9)))
                == Self.mismatch(Sample.place(1, 3), Self.history))
    }

    @Test func tailIsCutToAFrameAndContinued() {
        let entries = (1...6).map { Sample.entry(1, $0, payload: 1 << 20) }
        let replica = Self.replica(entries)
        let first = replica.tail(after: 0)
        #expect(!first.isWhole)
        #expect(first.entries.reduce(0) { $0 + $1.event.cost } <= Limits.offerBytes)
        let rest = replica.tail(after: first.entries.last?.place.sequence ?? 0)
        #expect(rest.isWhole)
        #expect(first.entries + rest.entries == entries)
    }

    @Test func tailAfterAWholeCopyIsBoundedToo() {
        var replica = Replica(LedgerCopy(id: Sample.ledger, last: Sample.place(2, 10)))
        _ = replica.handle(
            Sample.append(2, after: Sample.place(2, 10), (11...16).map { Sample.entry(2, $0, payload: 1 << 20) }))
        let tail = replica.tail(after: 0)
        #expect(!tail.isWhole)
        #expect(tail.entries.reduce(0) { $0 + $1.event.cost } <= Limits.offerBytes)
    }
}

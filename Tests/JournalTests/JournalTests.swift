import EventLoop
import Glibc
import Primitives
import Testing

@testable import Journal

/// A journal on a disk in memory, and what it tells.
///
/// `@unchecked`: only used by one test, on one thread.
final class Bench: @unchecked Sendable {
    let scheduler = VirtualScheduler()
    let volume: MemoryVolume
    let journal: Journal
    var events: [JournalEvent] = []
    var told: [Bool] = []

    init(
        sync: SyncPolicy = .always, segmentBytes: Int = 64 << 10, capacity: Int = .max, on disk: MemoryVolume? = nil
    ) throws {
        volume = disk?.survivor(.everything, scheduler) ?? MemoryVolume(scheduler)
        volume.capacity = capacity
        let recovered = try Journal.recover(volume, identity: owner, item: { _ in })
        let heard = Heard()
        journal = Journal(
            recovered, on: volume, scheduler: scheduler,
            settings: JournalSettings(sync: sync, segmentBytes: segmentBytes), observe: { heard.tell($0) })
        heard.bench = self
        scheduler.settle()
    }

    private final class Heard: @unchecked Sendable {
        weak var bench: Bench?
        func tell(_ event: JournalEvent) { bench?.events.append(event) }
    }

    @discardableResult
    func append(bytes: Int = 10) -> Bool {
        let isTaken = journal.append([UInt8](repeating: 7, count: bytes))
        if isTaken { journal.whenDurable { [self] in told.append($0) } }
        return isTaken
    }

    /// Kinds of operations since `start`, one letter each: Create, Append, Truncate, reWrite, Sync, sync of the Folder, Remove.
    func operations(from start: Int) -> String {
        volume.log[start...].map { operation in
            switch operation {
            case .create: "C"
            case .append: "A"
            case .truncate: "T"
            case .rewrite: "W"
            case .sync: "S"
            case .rename: "N"
            case .remove: "R"
            case .syncFolder: "F"
            }
        }.joined()
    }

    var isFullEvents: [Bool] {
        events.compactMap { event in
            switch event {
            case .full: true
            case .hasRoom: false
            case .failed, .snapshotEnded: nil
            }
        }
    }
}

struct JournalTests {
    @Test(arguments: policies) func whatIsAppendedIsFoundAgain(_ policy: SyncPolicy) throws {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        let tally = try Workload(policy: policy).run(on: volume, scheduler, try Found(volume))
        #expect(tally.closed == true)
        #expect(tally.durable == tally.appended)
        let found = try Found(volume.survivor(.synced, scheduler))
        #expect(found.numbered == tally.appended)
        #expect(found.journal.cut == nil && found.snapshots == 1 && !found.journal.isNew)
    }

    @Test func aNewJournalPreparesItsFirstSegmentAtOnce() throws {
        let bench = try Bench()
        #expect(bench.operations(from: 0) == "CASF")
        let again = try Found(bench.volume.survivor(.synced, bench.scheduler))
        #expect(again.journal.isNew && again.journal.prepared == 1)
    }

    // MARK: - Group commit

    @Test func whatIsAppendedInOneTurnIsOneGroup() throws {
        let bench = try Bench()
        let start = bench.volume.log.count
        for _ in 0..<100 { bench.append() }
        #expect(bench.told.isEmpty && bench.volume.log.count == start)
        bench.scheduler.settle()
        #expect(bench.operations(from: start) == "AS")
        #expect(bench.told == [Bool](repeating: true, count: 100))
        #expect(bench.journal.status.groups == 1 && bench.journal.status.meanRecordsPerGroup == 100)
    }

    /// Whoever appends from its completion writes the next group, not this one.
    @Test func whatIsAppendedMeanwhileIsTheNextGroup() throws {
        let bench = try Bench()
        let start = bench.volume.log.count
        bench.append()
        bench.journal.whenDurable { _ in for _ in 0..<10 { bench.append() } }
        bench.scheduler.settle()
        #expect(bench.operations(from: start) == "ASAS")
        #expect(bench.told.count == 11)
        #expect(bench.journal.status.groups == 2 && bench.journal.status.records == 11)
    }

    @Test func aGroupHasABound() throws {
        let bench = try Bench(segmentBytes: 64 << 20)
        for _ in 0..<5 { bench.append(bytes: 1 << 20) }
        bench.scheduler.settle()
        #expect(bench.told.count == 5)
        #expect(bench.journal.status.groups == 2)
    }

    @Test func withNothingToWaitForACompletionComesAtOnceButLater() throws {
        let bench = try Bench()
        bench.journal.whenDurable { bench.told.append($0) }
        #expect(bench.told.isEmpty)
        bench.scheduler.settle()
        #expect(bench.told == [true])
    }

    @Test func aRecordOfTheGreatestSizeFitsASegmentOfItsOwn() throws {
        let bench = try Bench(segmentBytes: 4096)
        bench.append()
        bench.append(bytes: Limits.journalRecordBytes)
        bench.append()
        bench.scheduler.settle()
        #expect(bench.told == [true, true, true])
        var sizes: [Int] = []
        _ = try Journal.recover(bench.volume, identity: owner) { item in
            if case .record(let bytes, _, _) = item { sizes.append(bytes.count) }
        }
        #expect(sizes == [10, Limits.journalRecordBytes, 10])
    }

    // MARK: - Policies

    @Test func anIntervalSyncsOnceForManyGroups() throws {
        let bench = try Bench(sync: .interval(.milliseconds(200)))
        let start = bench.volume.log.count
        for _ in 0..<3 {
            bench.append()
            bench.scheduler.advance(.milliseconds(50))
        }
        #expect(bench.operations(from: start) == "AAA")
        #expect(bench.told == [true, true, true])
        #expect(bench.journal.status.durable < bench.journal.status.written)
        bench.scheduler.advance(.milliseconds(50))
        #expect(bench.operations(from: start) == "AAAS")
        #expect(bench.journal.status.durable == bench.journal.status.written)
    }

    @Test func neverSyncsOnlyWhereASegmentEnds() throws {
        let bench = try Bench(sync: .never, segmentBytes: 1024)
        let start = bench.volume.log.count
        for _ in 0..<4 {
            bench.append(bytes: 200)
            bench.scheduler.advance(.seconds(10))
        }
        // Two groups, the next segment, a third group, the sync at the end of the segment, the fourth.
        #expect(bench.operations(from: start) == "AACASFASA")
    }

    /// After a second without work the last group is named, so that damage to it would be noticed; once.
    @Test func aQuietJournalNamesItsEnd() throws {
        let bench = try Bench()
        bench.append()
        bench.scheduler.settle()
        let named = try JournalInspection(bench.volume).lastNamed
        #expect(named == JournalPosition(segment: 1, offset: SegmentHeader.bytes))
        let end = bench.journal.status.durable
        let start = bench.volume.log.count
        bench.scheduler.advance(.seconds(60))
        #expect(bench.operations(from: start) == "AS")
        let later = try JournalInspection(bench.volume).lastNamed
        #expect(later == end)
    }

    // MARK: - Bounds

    @Test func recordsBeyondTheBufferAreRefused() async throws {
        let bench = try Bench(segmentBytes: 64 << 20)
        bench.volume.policy = { _, operation in if case .append = operation { ENOSPC } else { nil } }
        var taken = 0
        while bench.append(bytes: 8 << 20) {
            await Task.yield()
            taken += 1
            let isHalf = taken * (8 << 20) >= Limits.journalBufferBytes / 2
            #expect(bench.journal.isCongested == isHalf)
            bench.scheduler.settle()
        }
        #expect(taken == 15)
        #expect(!bench.journal.canAppend(bytes: 8 << 20) && bench.journal.canAppend(bytes: 7 << 20))
        #expect(!bench.journal.canAppend(bytes: 0, records: 1 << 20))
        #expect(bench.told.isEmpty)
        bench.volume.policy = { _, _ in nil }
        bench.scheduler.advance(.seconds(2))
        #expect(bench.told == [Bool](repeating: true, count: 15))
        #expect(!bench.journal.isCongested && bench.journal.status.bufferedBytes == 0)
    }

    @Test func manyWaitersAreCongestion() throws {
        let bench = try Bench()
        #expect(bench.append())
        for _ in 1..<Limits.journalWaiters {
            #expect(!bench.journal.isCongested)
            bench.journal.whenDurable { _ in }
        }
        #expect(bench.journal.isCongested)
        bench.scheduler.settle()
        #expect(!bench.journal.isCongested)
    }

    // MARK: - The end

    @Test func aFailureIsToldOnceAndForEver() throws {
        let bench = try Bench()
        bench.append()
        bench.append()
        bench.volume.policy = { _, operation in if case .sync = operation { EIO } else { nil } }
        bench.scheduler.settle()
        #expect(bench.told == [false, false])
        #expect(bench.journal.status.failure?.code == EIO)
        #expect(bench.events.count == 1)
        let operations = bench.volume.log.count
        #expect(!bench.append())
        bench.journal.whenDurable { bench.told.append($0) }
        bench.journal.close { bench.told.append($0) }
        #expect(!bench.journal.beginSnapshot() && !bench.journal.wantsSnapshot(liveBytes: 0))
        bench.journal.endSnapshot()
        bench.scheduler.advance(.seconds(60))
        #expect(bench.told == [false, false, false, false])
        #expect(bench.volume.log.count == operations)
        #expect(bench.events.count == 1)
    }

    @Test(arguments: policies) func closingWritesSyncsAndNames(_ policy: SyncPolicy) throws {
        let bench = try Bench(sync: policy)
        bench.append()
        bench.journal.close { bench.told.append($0) }
        bench.journal.close { bench.told.append($0) }
        #expect(!bench.append())
        bench.scheduler.settle()
        #expect(bench.told == [true, true, true])
        bench.journal.close { bench.told.append($0) }
        bench.scheduler.settle()
        #expect(bench.told.count == 4)
        let disk = bench.volume.survivor(.synced, bench.scheduler)
        let inspection = try JournalInspection(disk)
        let segment = try #require(inspection.segments.first)
        #expect(segment.records == 1)
        // Named is all that has records: what follows is one group without any.
        #expect(inspection.lastNamed?.offset == segment.bytes - GroupCodec.headerBytes)
    }

    @Test func closingWithoutRoomGivesUp() throws {
        let bench = try Bench()
        bench.volume.policy = { _, operation in if case .append = operation { ENOSPC } else { nil } }
        bench.append()
        bench.scheduler.settle()
        bench.journal.close { bench.told.append($0) }
        bench.scheduler.settle()
        #expect(bench.told == [false, false])
        #expect(bench.events.count == 1 && bench.isFullEvents == [true])
    }

    // MARK: - A second process

    /// The journal goes on in the segment in which it ended, and numbers go on.
    @Test func aJournalGoesOnWhereItEnded() throws {
        let first = try Bench()
        first.append()
        first.journal.close { _ in }
        first.scheduler.settle()
        let second = try Bench(on: first.volume)
        second.append()
        second.scheduler.settle()
        let inspection = try JournalInspection(second.volume)
        #expect(inspection.segments.map(\.records) == [2, 0])
        #expect(inspection.segments.map(\.role) == [.inUse, .prepared])
    }

    @Test func aJournalOfAnotherNodeOrStoreIsRefused() throws {
        let bench = try Bench()
        bench.append()
        bench.scheduler.settle()
        for other in [
            StoreHolder(name: name("node-2"), store: owner.store), StoreHolder(name: owner.name, store: StoreID(1)),
        ] {
            let refusal = #expect(throws: JournalRefusal.self) {
                try Journal.recover(bench.volume, identity: other, item: { _ in })
            }
            #expect(refusal == .foreign(file: SegmentName.of(1), owner: owner, expected: other))
            #expect(refusal?.description.contains("belongs to the node node-1, store 0123456789abcdef") == true)
        }
    }

    @Test func aFutureFormatIsRefused() throws {
        let bench = try Bench()
        bench.append()
        bench.scheduler.settle()
        let file = SegmentName.of(1)
        var content = try #require(bench.volume.contents[file])
        content[9] = 2
        content.overwrite(content.withUnsafeBytes { CRC32C.of($0.slice(0..<124)) }, at: 124)
        bench.volume.set(file, content)
        let refusal = #expect(throws: JournalRefusal.self) {
            try Journal.recover(bench.volume, identity: owner, item: { _ in })
        }
        #expect(refusal == .future(file: file, version: 2, known: 1))
    }

    /// A closure that cannot read a record refuses the start, and nothing has changed.
    @Test func anErrorOfTheCallerLeavesTheJournalAsItIs() throws {
        let bench = try Bench()
        bench.append()
        bench.scheduler.settle()
        let disk = bench.volume.survivor(.everything, bench.scheduler)
        disk.set(SegmentName.of(1), (disk.contents[SegmentName.of(1)] ?? []) + [1, 2, 3])
        #expect(throws: Violation.self) {
            try Journal.recover(disk, identity: owner) { _ in throw Violation(description: "unknown record") }
        }
        #expect(disk.log.isEmpty)
    }
}

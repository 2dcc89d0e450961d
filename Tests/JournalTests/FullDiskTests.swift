import EventLoop
import Glibc
import Primitives
import Testing

@testable import Journal

struct FullDiskTests {
    /// Room for the first segment and for a bit: the second cannot be reserved.
    @Test(arguments: policies) func outcomesFitWhenNewWorkIsRefused(_ policy: SyncPolicy) throws {
        let bench = try Bench(sync: policy, segmentBytes: 8192, capacity: 10_000)
        while !bench.journal.isFull {
            #expect(bench.append(bytes: 100))
            bench.scheduler.settle()
        }
        #expect(bench.isFullEvents == [true])
        #expect(!bench.told.contains(false))
        #expect(bench.journal.roomLeft > 8192 / 2 - 200)

        // What has room reserved is written, and durable, although the disk is full.
        let before = bench.told.count
        let outcomes = bench.journal.roomLeft / (100 + GroupCodec.headerBytes + GroupCodec.recordHeaderBytes)
        #expect(outcomes > 20)
        for _ in 0..<outcomes {
            bench.append(bytes: 100)
            bench.scheduler.settle()
        }
        #expect(bench.told.count == before + outcomes)
        #expect(bench.journal.isFull)

        // Beyond it records wait; nothing is acknowledged, and what is on the disk is whole at any time.
        let durable = bench.told.count
        for _ in 0..<50 {
            #expect(bench.append(bytes: 100))
            bench.scheduler.advance(.milliseconds(700))
            var records = 0
            _ = try Journal.recover(bench.volume.survivor(.everything, bench.scheduler), identity: owner) { item in
                if case .record = item { records += 1 }
            }
            #expect(records == bench.told.count)
        }
        #expect(bench.told.count < durable + 30)
        #expect(bench.journal.status.shortages > 30)

        bench.volume.capacity = 100_000
        bench.scheduler.advance(.seconds(1))
        #expect(bench.told == [Bool](repeating: true, count: durable + 50))
        #expect(!bench.journal.isFull)
        #expect(bench.isFullEvents == [true, false])
        var records = 0
        _ = try Journal.recover(bench.volume.survivor(.everything, bench.scheduler), identity: owner) { item in
            if case .record = item { records += 1 }
        }
        #expect(records == durable + 50)
    }

    /// A file system that reserves nothing: groups fail in part, again and again, and all comes right.
    @Test func withoutReservationsNothingIsCorrupt() throws {
        let bench = try Bench(segmentBytes: 2048)
        bench.volume.reservesNothing = true
        bench.volume.capacity = 6000
        for _ in 0..<80 {
            #expect(bench.append(bytes: 100))
            bench.scheduler.advance(.milliseconds(300))
            bench.volume.capacity += 40
        }
        #expect(!bench.told.contains(false) && bench.told.count < 80)
        // Attempts leave no trail of empty segments.
        let empty = try JournalInspection(bench.volume).segments.filter { $0.records == 0 }
        #expect(empty.count <= 2)
        bench.volume.capacity = 100_000
        bench.scheduler.advance(.seconds(3))
        #expect(bench.told.count == 80)
        #expect(!bench.journal.isFull)
        #expect(bench.isFullEvents.first == true && bench.isFullEvents.last == false)
    }

    /// A start on a full disk: what there is is found, and it is told at once that there is no room.
    @Test func aStartOnAFullDiskIsFullAtOnce() throws {
        let first = try Bench(segmentBytes: 8192)
        first.append()
        first.journal.close { _ in }
        first.scheduler.settle()
        first.volume.capacity = first.volume.taken + 1000
        let second = try Bench(segmentBytes: 8192, capacity: first.volume.taken + 1000, on: first.volume)
        #expect(second.journal.isFull && second.isFullEvents == [true])
        second.append()
        second.scheduler.settle()
        #expect(second.told == [true])
        second.volume.capacity = 100_000
        second.scheduler.advance(.seconds(1))
        #expect(!second.journal.isFull)
    }

    /// With another segment reserved a group that did not fit goes there at once.
    @Test func aPreparedSegmentIsUsedWithoutWaiting() throws {
        let bench = try Bench(segmentBytes: 2048)
        bench.append(bytes: 1000)
        bench.scheduler.settle()
        #expect(bench.journal.status.segments == 1 && bench.journal.roomLeft > 2048)
        bench.volume.faults[bench.volume.log.count] = .error(ENOSPC, keeping: 30)
        bench.append(bytes: 10)
        let start = bench.volume.log.count
        bench.scheduler.settle()
        #expect(bench.told == [true, true])
        #expect(bench.operations(from: start) == "ATSAS")
        #expect(bench.journal.status.segments == 2)
        #expect(bench.isFullEvents == [true, false])
    }

    /// What a cut segment had reserved is gone: the next one is prepared now.
    @Test func aCutSegmentHasNoRoomReserved() throws {
        let bench = try Bench(segmentBytes: 8192)
        bench.append(bytes: 100)
        bench.scheduler.settle()
        #expect(bench.journal.roomLeft > 7000)
        bench.volume.faults[bench.volume.log.count] = .error(ENOSPC, keeping: 30)
        bench.volume.policy = { _, operation in if case .create = operation { ENOSPC } else { nil } }
        bench.append(bytes: 10)
        bench.scheduler.advance(.seconds(5))
        #expect(bench.told == [true, true])
        #expect(bench.journal.roomLeft == 0 && bench.journal.isFull)
        bench.volume.policy = { _, _ in nil }
        bench.scheduler.advance(.seconds(1))
        #expect(bench.journal.roomLeft > 7000 && !bench.journal.isFull)
        #expect(bench.isFullEvents == [true, false])
    }

    /// A small snapshot makes room by itself, in what is reserved.
    @Test func aSnapshotMakesRoom() throws {
        let bench = try Bench(segmentBytes: 8192, capacity: 3 * 8192 + 200)
        while !bench.journal.isFull {
            bench.append(bytes: 100)
            bench.scheduler.settle()
        }
        #expect(bench.journal.status.segments == 3)
        #expect(!bench.journal.wantsSnapshot(liveBytes: 4096))
        #expect(bench.journal.wantsSnapshot(liveBytes: 500))
        let began = bench.journal.beginSnapshot()
        #expect(began)
        bench.append(bytes: 500)
        bench.journal.endSnapshot()
        bench.scheduler.settle()
        #expect(bench.journal.status.segments == 1)
        #expect(!bench.journal.isFull)
    }
}

import EventLoop
import Glibc
import Primitives
import Testing

@testable import Journal

struct SnapshotTests {
    private func fill(_ bench: Bench, segments: Int) {
        while bench.journal.status.segments < segments {
            bench.append(bytes: 300)
            bench.scheduler.settle()
        }
    }

    @Test(arguments: policies) func segmentsBeforeTheSnapshotGo(_ policy: SyncPolicy) throws {
        let bench = try Bench(sync: policy, segmentBytes: 2048)
        fill(bench, segments: 4)
        let began = bench.journal.beginSnapshot()
        #expect(began && bench.journal.isSnapshotOpen)
        #expect(!bench.journal.beginSnapshot())
        for _ in 0..<3 { bench.append(bytes: 50) }
        bench.scheduler.settle()
        #expect(bench.journal.status.segments >= 4)
        let start = bench.volume.log.count
        bench.journal.endSnapshot()
        #expect(!bench.journal.isSnapshotOpen && !bench.journal.beginSnapshot())
        bench.scheduler.settle()
        // The end mark is synced whatever the policy, before anything is removed; the oldest goes first.
        #expect(bench.operations(from: start).hasPrefix("ASR"))
        let removed = bench.volume.log.compactMap { if case .remove(let name) = $0 { name } else { nil } }
        #expect(removed == removed.sorted() && removed.count >= 3)
        #expect(bench.operations(from: start).hasSuffix("RF"))
        #expect(bench.journal.status.segments == 1 && bench.journal.status.snapshots == 1)
        guard case .snapshotEnded(superseded: removed.count)? = bench.events.last else {
            Issue.record("\(bench.events)")
            return
        }
        let again = bench.journal.beginSnapshot()
        #expect(again)
    }

    /// Between two removals a group is written: records do not wait for all of them.
    @Test func recordsDoNotWaitForAllRemovals() throws {
        let bench = try Bench(segmentBytes: 2048)
        fill(bench, segments: 5)
        _ = bench.journal.beginSnapshot()
        bench.journal.endSnapshot()
        bench.journal.whenDurable { _ in
            bench.append()
            bench.journal.whenDurable { _ in bench.append() }
        }
        let start = bench.volume.log.count
        bench.scheduler.settle()
        #expect(bench.operations(from: start).contains("RASRAS"))
    }

    @Test func anAbandonedSnapshotIsToldAsIncomplete() throws {
        let bench = try Bench(segmentBytes: 2048)
        fill(bench, segments: 3)
        _ = bench.journal.beginSnapshot()
        bench.append(bytes: 33)
        bench.scheduler.settle()
        bench.journal.abandonSnapshot()
        bench.journal.abandonSnapshot()
        #expect(!bench.journal.isSnapshotOpen)
        let began = bench.journal.beginSnapshot()
        #expect(began)
        bench.append(bytes: 44)
        bench.journal.endSnapshot()
        bench.append(bytes: 55)
        bench.scheduler.settle()
        _ = bench.journal.beginSnapshot()
        bench.append(bytes: 66)
        bench.scheduler.settle()
        var told: [String] = []
        let recovered = try Journal.recover(bench.volume, identity: owner) { item in
            switch item {
            case .record(let bytes, _, _): told.append("\(bytes.count)")
            case .snapshotBegan(let number, let isComplete): told.append("begin \(number) \(isComplete)")
            case .snapshotEnded(let number): told.append("end \(number)")
            }
        }
        #expect(told == ["begin 2 true", "44", "end 2", "55", "begin 3 false", "66"])
        #expect(recovered.snapshot == 3)
    }

    @Test func aSnapshotIsWantedWhenHistoryOutweighsWhatLives() throws {
        let bench = try Bench(segmentBytes: 2048)
        #expect(!bench.journal.wantsSnapshot(liveBytes: 0))
        while bench.journal.status.bytesOnDisk <= 4096 {
            #expect(!bench.journal.wantsSnapshot(liveBytes: 0))
            bench.append(bytes: 100)
            bench.scheduler.settle()
        }
        #expect(bench.journal.wantsSnapshot(liveBytes: 0))
        #expect(bench.journal.wantsSnapshot(liveBytes: bench.journal.status.bytesOnDisk / 2 - 1))
        #expect(!bench.journal.wantsSnapshot(liveBytes: bench.journal.status.bytesOnDisk / 2 + 1))
        #expect(!bench.journal.wantsSnapshot(liveBytes: .max))
        _ = bench.journal.beginSnapshot()
        #expect(!bench.journal.wantsSnapshot(liveBytes: 0))
        bench.append(bytes: 6000)
        bench.journal.endSnapshot()
        bench.scheduler.settle()
        // The snapshot alone exceeds two segments: it takes half as much again before the next one is worth it.
        #expect(bench.journal.status.bytesOnDisk > 4096)
        #expect(!bench.journal.wantsSnapshot(liveBytes: 0))
        var since = 0
        while !bench.journal.wantsSnapshot(liveBytes: 0) {
            bench.append(bytes: 100)
            bench.scheduler.settle()
            since += 164
        }
        #expect((3000...3400).contains(since))

        // The next process knows as much.
        let second = try Bench(segmentBytes: 2048, on: bench.volume)
        #expect(second.journal.wantsSnapshot(liveBytes: 0))
    }

    /// The disk follows what lives: 2,000 records with at most 20 alive never take more than a few segments.
    @Test func theDiskFollowsWhatLives() throws {
        let bench = try Bench(segmentBytes: 4096)
        var most = 0
        for _ in 0..<2000 {
            bench.append(bytes: 100)
            if bench.journal.wantsSnapshot(liveBytes: 20 * 120), bench.journal.beginSnapshot() {
                for _ in 0..<20 { bench.append(bytes: 100) }
                bench.journal.endSnapshot()
            }
            bench.scheduler.settle()
            most = max(most, bench.volume.contents.values.reduce(0) { $0 + $1.count })
        }
        #expect(most < 5 * 4096)
        #expect(bench.journal.status.snapshots > 20)
    }
}

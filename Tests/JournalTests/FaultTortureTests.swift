import EventLoop
import Glibc
import Primitives
import Testing

@testable import Journal

/// Each operation fails, in each way that disks know.
///
/// Each round lets other tests run: some of them measure time.
@Suite(.serialized) struct FaultTortureTests {
    private func operations(_ workload: Workload) throws -> [FileOperation] {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        try workload.run(on: volume, scheduler, try Found(volume))
        return volume.log
    }

    private func isSync(_ operation: FileOperation) -> Bool { if case .sync = operation { true } else { false } }

    /// How much of what is appended may be there although the append failed.
    private func parts(_ operation: FileOperation) -> [Int] {
        guard case .append(_, let bytes) = operation else { return [0] }
        return [0, 1, GroupCodec.headerBytes, bytes.count / 2, bytes.count - 1, bytes.count]
    }

    @Test(arguments: policies)
    func anErrorOfTheDiskStopsTheJournalForEver(_ policy: SyncPolicy) async throws {
        let workload = Workload(policy: policy)
        for (number, operation) in try operations(workload).enumerated() {
            for kept in parts(operation) {
                await Task.yield()
                let scheduler = VirtualScheduler()
                let volume = MemoryVolume(scheduler)
                volume.faults[number] = .error(EIO, keeping: kept)
                let context = "operation \(number), \(kept) bytes kept, \(policy)"
                do {
                    let tally = try workload.run(on: volume, scheduler, try Found(volume))
                    #expect(tally.failures.map(\.code) == [EIO], "\(context)")
                    #expect(tally.closed == false, "\(context)")
                    #expect(volume.log.count == number + 1, "something was done after the error: \(context)")
                    for survival in [MemoryVolume.Survival.everything, .synced, .some(seed: UInt64(number))] {
                        let found = try Found(volume.survivor(survival, scheduler))
                        guard policy == .always || survival == .everything else { continue }
                        #expect(found.numbered >= tally.durable, "\(survival), \(context)")
                    }
                } catch {
                    Issue.record("\(error): \(context)")
                }
            }
        }
    }

    /// A lack of room that ends: nothing is lost, and nobody has to do anything. Only a sync that fails with bytes that
    /// are no longer in memory stops the journal.
    @Test(arguments: policies, [1, 2, 3, 7])
    func aLackOfRoomIsWaitedOut(_ policy: SyncPolicy, length: Int) async throws {
        let workload = Workload(policy: policy, patience: .seconds(20))
        var stopped = 0
        for (number, operation) in try operations(workload).enumerated() {
            for kept in length == 1 ? parts(operation) : [parts(operation).count / 2] {
                await Task.yield()
                let scheduler = VirtualScheduler()
                let volume = MemoryVolume(scheduler)
                for next in number..<number + length {
                    volume.faults[next] = .error(next % 2 == 0 ? ENOSPC : EDQUOT, keeping: kept)
                }
                let context = "operations \(number) and \(length - 1) more, \(kept) bytes kept, \(policy)"
                do {
                    let tally = try workload.run(on: volume, scheduler, try Found(volume))
                    if tally.failures.isEmpty {
                        #expect(tally.closed == true, "\(context)")
                        #expect(tally.durable == tally.appended && tally.refused == 0, "\(context)")
                    } else {
                        stopped += 1
                        #expect(policy != .always && isSync(volume.log[volume.log.count - 1]), "\(context)")
                    }
                    for survival in [MemoryVolume.Survival.everything, .synced] {
                        let found = try Found(volume.survivor(survival, scheduler))
                        if tally.closed == true { #expect(found.numbered == tally.appended, "\(survival), \(context)") }
                        guard policy == .always || survival == .everything else { continue }
                        #expect(found.numbered >= tally.durable, "\(survival), \(context)")
                    }
                } catch {
                    Issue.record("\(error): \(context)")
                }
            }
        }
        #expect((stopped == 0) == (policy == .always))
    }

    /// Between a lack of room and the machine's stop nothing is lost either.
    @Test(arguments: policies)
    func aCrashAfterALackOfRoomLosesNothing(_ policy: SyncPolicy) async throws {
        let workload = Workload(policy: policy, patience: .seconds(20))
        for (number, operation) in try operations(workload).enumerated() {
            for distance in 1...4 {
                await Task.yield()
                let scheduler = VirtualScheduler()
                let volume = MemoryVolume(scheduler)
                volume.faults[number] = .error(ENOSPC, keeping: parts(operation).count / 2)
                volume.faults[number + distance] = distance % 2 == 0 ? .crashBefore : .crashAfter
                let context = "operation \(number), crash \(distance) later, \(policy)"
                do {
                    let tally = try workload.run(on: volume, scheduler, try Found(volume))
                    for survival in [MemoryVolume.Survival.everything, .synced, .some(seed: UInt64(number))] {
                        let found = try Found(volume.survivor(survival, scheduler))
                        guard policy == .always || survival == .everything else { continue }
                        #expect(found.numbered >= tally.durable, "\(survival), \(context)")
                    }
                } catch {
                    Issue.record("\(error): \(context)")
                }
            }
        }
    }
}

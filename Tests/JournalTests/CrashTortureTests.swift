import EventLoop
import Primitives
import Testing

@testable import Journal

let policies: [SyncPolicy] = [.always, .interval(.milliseconds(400)), .never]

/// The machine stops at every operation. What is durable is found, in order and without a gap, and the journal goes on.
///
/// Each round lets other tests run: some of them measure time.
@Suite(.serialized) struct CrashTortureTests {
    /// Runs until the crash, and returns the disk as it then is.
    private func crash(
        _ workload: Workload, at operation: Int, _ fault: MemoryVolume.Fault
    ) throws -> (MemoryVolume, Tally) {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        volume.faults[operation] = fault
        let tally = try workload.run(on: volume, scheduler, try Found(volume))
        return (volume, tally)
    }

    private func operations(_ workload: Workload) throws -> [FileOperation] {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        try workload.run(on: volume, scheduler, try Found(volume))
        return volume.log
    }

    /// The next process finds what it has to, and goes on with it.
    private func goOn(
        _ disk: MemoryVolume, _ scheduler: VirtualScheduler, after tally: Tally, isDurable: Bool, _ policy: SyncPolicy
    ) throws {
        let found = try Found(disk)
        guard found.numbered <= tally.appended, !isDurable || found.numbered >= tally.durable else {
            throw Violation(
                description: "\(found.numbered) are found, \(tally.durable) were durable, \(tally.appended) appended")
        }
        // What was told is durable, and recovery leaves nothing to be cut.
        let again = try Found(disk.survivor(.synced, scheduler))
        guard again.numbered == found.numbered, again.journal.cut == nil else {
            throw Violation(description: "\(found.numbered) were told, and then \(again.numbered)")
        }
        let second = try Workload(policy: policy, turns: 3, seed: 99).run(on: disk, scheduler, found)
        let last = try Found(disk.survivor(.synced, scheduler))
        guard last.numbered == second.appended, second.closed == true else {
            throw Violation(description: "\(last.numbered) of \(second.appended) are found after a second life")
        }
    }

    @Test(arguments: policies)
    func aCrashAtEveryOperationLosesNothingThatWasDurable(_ policy: SyncPolicy) async throws {
        let workload = Workload(policy: policy)
        let count = try operations(workload).count
        #expect(count > 80)
        for operation in 0..<count {
            for fault in [MemoryVolume.Fault.crashBefore, .crashAfter] {
                let (volume, tally) = try crash(workload, at: operation, fault)
                let survivals: [MemoryVolume.Survival] = [
                    .everything, .synced, .some(seed: UInt64(operation)), .some(seed: UInt64(operation + 1000)),
                ]
                for survival in survivals {
                    await Task.yield()
                    let scheduler = VirtualScheduler()
                    let isDurable = policy == .always || survival == .everything
                    do {
                        try goOn(
                            volume.survivor(survival, scheduler), scheduler, after: tally, isDurable: isDurable, policy)
                    } catch {
                        Issue.record("operation \(operation), \(fault), \(survival), \(policy): \(error)")
                    }
                }
            }
        }
    }

    /// Whatever is being written may be there up to any byte: groups as well as headers.
    @Test(arguments: policies)
    func everyPrefixOfWhatIsBeingWrittenIsATornTail(_ policy: SyncPolicy) async throws {
        let workload = Workload(policy: policy)
        for (operation, kind) in try operations(workload).enumerated() {
            guard case .append(let file, let bytes) = kind else { continue }
            let (volume, tally) = try crash(workload, at: operation, .crashAfter)
            let length = volume.contents[file]?.count ?? 0
            for torn in length - bytes.count...length {
                await Task.yield()
                let disk = volume.survivor(.prefix(of: file, bytes: torn), VirtualScheduler())
                let context =
                    "operation \(operation), \(torn - length + bytes.count) of \(bytes.count) bytes, \(policy)"
                do {
                    let found = try Found(disk)
                    guard found.numbered >= tally.durable else {
                        Issue.record("\(found.numbered) are found, \(tally.durable) were durable: \(context)")
                        continue
                    }
                    let isHeader = bytes.count == SegmentHeader.bytes
                    let isWhole = torn == length || torn == length - bytes.count
                    let cut = isHeader || isWhole ? nil : torn - (length - bytes.count)
                    if found.journal.cut?.bytes != cut {
                        Issue.record("the cut is \(found.journal.cut as Any): \(context)")
                    }
                } catch {
                    Issue.record("\(error): \(context)")
                }
            }
        }
    }

    /// Recovery itself is stopped at each of its operations.
    @Test func aCrashDuringRecoveryChangesNothingOfWhatIsFound() async throws {
        var stopped = 0
        for policy in policies {
            let workload = Workload(policy: policy)
            for operation in 0..<(try operations(workload).count) {
                let (volume, tally) = try crash(workload, at: operation, .crashAfter)
                for survival in [MemoryVolume.Survival.everything, .some(seed: UInt64(operation))] {
                    await Task.yield()
                    let clean = volume.survivor(survival, VirtualScheduler())
                    let expected = try Found(clean).numbered
                    // What was written and not synced is durable only when recovery is done.
                    let durable = try Found(volume.survivor(.synced, VirtualScheduler())).numbered
                    if policy == .always { #expect(durable >= tally.durable) }
                    for step in 0..<clean.log.count {
                        let disk = volume.survivor(survival, VirtualScheduler())
                        disk.faults[step] = step % 2 == 0 ? .crashBefore : .crashAfter
                        #expect(throws: SystemError.self) { try Found(disk) }
                        for rest in [MemoryVolume.Survival.everything, .synced, .some(seed: UInt64(step))] {
                            await Task.yield()
                            let context = "operation \(operation), step \(step), \(survival), \(rest), \(policy)"
                            do {
                                let found = try Found(disk.survivor(rest, VirtualScheduler()))
                                let least = survival == .everything && rest != .everything ? durable : expected
                                if found.numbered < least || found.numbered > expected {
                                    Issue.record("\(found.numbered) of \(least) to \(expected) are found: \(context)")
                                }
                            } catch {
                                Issue.record("\(error): \(context)")
                            }
                            stopped += 1
                        }
                    }
                }
            }
        }
        #expect(stopped > 1000)
    }
}

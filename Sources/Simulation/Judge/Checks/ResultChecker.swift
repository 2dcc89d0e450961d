import Node
import Primitives
import TaskLedger

/// Judges whether the large results of completed tasks are where their ledgers say, long after everything was healed.
struct ResultChecker {
    let world: World
    let stage: Stage
    let isExcused: (TaskID) -> Bool

    /// - Parameter records: of all tasks that are in a ledger.
    func violation(_ records: [TaskID: TaskRecord]) -> Violation? {
        guard let view = stage.view else { return nil }
        for id in records.keys.sorted() {
            guard let (result, detached) = records[id]?.detachedResult, !isExcused(id) else { continue }
            let name = ResultFile.name(result, Int(detached.byteCount))
            var whole: [StoreHolder] = []
            var damaged: [StoreHolder] = []
            for holder in detached.holders {
                guard let index = stage.index(holder.name) else { continue }
                let disk = world.nodes[index].disk
                if disk.contents(name).map(ResultFile.checksum) == detached.checksum {
                    whole.append(holder)
                } else if disk.counters.wipes + disk.counters.flips > 0 || world.settings.sync != .always {
                    damaged.append(holder)
                } else {
                    return Violation(
                        .resultLost, "\(result): \(holder) does not keep it, though its disk was never harmed",
                        at: world.now)
                }
            }
            func isMember(_ holder: StoreHolder) -> Bool { view.members.contains { $0.replica == holder } }
            // As long as one of them has it, the others get it again.
            guard whole.contains(where: isMember) else { continue }
            let wanted = min(Int(view.settings.copies), view.members.count)
            guard whole.count(where: isMember) >= wanted, !damaged.contains(where: isMember) else {
                return Violation(
                    .resultLost,
                    "\(result) is kept by \(whole), and should be by \(wanted) members; the copies of \(damaged) are damaged",
                    at: world.now)
            }
        }
        return nil
    }
}

extension World {
    /// Files with large results, on all disks.
    var largeResults: Int { nodes.reduce(0) { $0 + $1.disk.files.count { ResultFile.parse($0.name) != nil } } }
}

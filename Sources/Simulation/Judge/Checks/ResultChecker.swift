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
            var isThere = false
            var isDestroyed = false
            for holder in detached.holders {
                guard let index = stage.index(holder.name) else { continue }
                let disk = world.nodes[index].disk
                if disk.contents(ResultFile.name(result, Int(detached.byteCount))).map(checksum) == detached.checksum {
                    isThere = true
                } else if disk.counters.wipes + disk.counters.flips > 0 || world.settings.sync != .always {
                    isDestroyed = true
                } else {
                    return Violation(
                        .resultLost, "\(result): \(holder) does not keep it, though its disk was never harmed",
                        at: world.now)
                }
            }
            let alive = detached.holders.count { holder in view.members.contains { $0.replica == holder } }
            let wanted = min(Int(view.settings.copies), view.members.count)
            guard alive < wanted, isThere, !isDestroyed else { continue }
            return Violation(
                .resultLost, "\(result) is kept by \(detached.holders), of whom \(alive) are members; \(wanted) should",
                at: world.now)
        }
        return nil
    }

    private func checksum(_ bytes: [UInt8]) -> UInt32 { ResultFile.checksum(bytes) }

}

extension World {
    /// Files with large results, on all disks.
    var largeResults: Int { nodes.reduce(0) { $0 + $1.disk.files.count { ResultFile.parse($0.name) != nil } } }
}

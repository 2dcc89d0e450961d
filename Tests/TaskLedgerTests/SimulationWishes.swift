import Primitives

@testable import TaskLedger

/// What clients want of tasks that are there.
extension Simulation {
    /// A client changes a task of this node, or has it run again.
    func wish(_ node: Int) {
        let ids = nodes[node].owner.ownedLedgers.flatMap { nodes[node].owner.copy(of: $0)?.state.sortedIDs ?? [] }
        guard let id = ids.randomElement(using: &random) else { return }
        let wishes: [TaskWish] = [
            .retry, .change(priority: Priority(Int.random(in: 1...10, using: &random)), delay: nil),
            .change(priority: nil, delay: UInt64.random(in: 0...200, using: &random)),
        ]
        guard let wish = wishes.randomElement(using: &random) else { return }
        lastRequest += 1
        let decision = nodes[node].owner.carryOut(
            wish, for: id, request: lastRequest, at: now, timestamp: timestamp)
        log("\(nodes[node].name): \(wish) of \(id) is \(decision)")
        if wish == .retry, decision == .done { ghost.newRuns += 1 }
    }
}

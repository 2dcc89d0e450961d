import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Any node takes a task, any node tells about it, and results are in Redis.
    @Suite struct AnyNode {
        @Test func tasksOfAllNodesCompleteAndEveryNodeKnowsThem() async throws {
            try await LocalCluster.run { cluster in
                let count = 300
                var all: [TaskID] = []
                for number in 0..<count {
                    let node = cluster.nodes[number % cluster.nodes.count]
                    let accepted = try await node.submit("echo", #"{"number": \#(number)}"#)
                    #expect(accepted.durability.level == "replicated")
                    #expect(accepted.durability.holders.count == 2)
                    all.append(accepted.id)
                }
                #expect(Set(all).count == count)

                for (number, id) in all.enumerated() {
                    // Not the node that took it.
                    let other = cluster.nodes[(number + 1) % cluster.nodes.count]
                    let task = try await other.get("/api/tasks/\(id)?wait=20", as: TaskDocument.self)
                    #expect(task.status == "completed")
                    #expect(task.result?.text == #"{"number":\#(number)}"#)
                    #expect(task.attempt == 1)
                }
                for id in all.prefix(20) {
                    var seen: Set<TaskDocument> = []
                    for node in cluster.nodes { seen.insert(try await node.task(id)) }
                    #expect(seen.count == 1, "every node tells the same of \(id)")
                }
                let names = all.map(\.description)
                try await cluster.await("all results are in Redis") {
                    try cluster.redis.results(of: names, cluster: cluster.name) == count
                }
                guard case .text(let document) = try cluster.redis.ask("GET", "apus:test:result:\(names[7])"),
                    case .text(let seconds) = try cluster.redis.ask("TTL", "apus:test:result:\(names[7])")
                else { throw HarnessError("the result of \(names[7]) is no text with a time to live") }
                #expect(document.contains(names[7]))
                #expect(Int(seconds).map { (1...86_400).contains($0) } == true)
            }
        }
    }
}

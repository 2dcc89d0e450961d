import APIModel
import ArgumentParser
import Foundation

struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells a local node to take no new work, and to finish or hand over what it has.",
        discussion: "The node stays in the cluster. `restart` ends the drain.")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let home = ClusterHome()
        let node = try home.require(index, in: home.require())
        guard node.condition == .running else {
            throw CommandFailure("\(node.name) is not running (\(node.condition.text(at: .now)))")
        }
        let answer = try await ClusterClient.send(.POST, "/api/cluster/drain", to: node.url, limit: .seconds(5))
        let status = try answer.document(as: StatusDocument.self)
        say("\(status.node) is \(status.status): it takes no new work, and finishes or hands over what it has")
    }
}

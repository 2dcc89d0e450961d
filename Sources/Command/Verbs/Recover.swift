import APIModel
import ArgumentParser
import Foundation

struct Recover: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says what is missing of a cluster that has no majority, and goes on without it when told to.",
        discussion: """
            Without --yes it changes nothing. With --yes the nodes that are there go on, without the voters and the copies \
            that are missing: say so only if those will not come back. While a majority is there, nothing has to be \
            recovered, and it is refused.
            Exit code: 0 if nothing is to be done, or it was done; else 1.
            """)

    @Flag(help: "Goes on without what is missing.")
    var yes = false

    @Flag(help: "Prints the answer as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let nodes = try client.client()
        let (report, body, url) = try await best(nodes)
        guard report.isNeeded else {
            say(
                json
                    ? String(decoding: body, as: UTF8.self)
                    : RecoveryText(report: report).healthy.joined(separator: "\n"))
            return
        }
        guard yes else {
            say(
                json
                    ? String(decoding: body, as: UTF8.self) : RecoveryText(report: report).lines.joined(separator: "\n")
            )
            throw ExitCode(1)
        }
        let answer = try await ClusterClient.send(.POST, "/api/cluster/recover", to: url, limit: .seconds(30))
        let forced = try answer.document(as: RecoveryDocument.self)
        say(
            json
                ? String(decoding: answer.body, as: UTF8.self)
                : RecoveryText(report: forced).done.joined(separator: "\n"))
    }

    /// The report of the node that would lose least: each knows only the copies of those that it reaches.
    private func best(_ nodes: ClusterClient) async throws -> (report: RecoveryDocument, body: [UInt8], url: String) {
        var found: [(report: RecoveryDocument, body: [UInt8], url: String)] = []
        var failure = CommandFailure("no node answers; asked: \(nodes.nodes.joined(separator: ", "))", code: 2)
        for node in nodes.nodes {
            do {
                let answer = try await ClusterClient.send(.GET, "/api/cluster/recovery", to: node, limit: .seconds(5))
                found.append((try answer.document(as: RecoveryDocument.self), answer.body, node))
            } catch let error as CommandFailure {
                // Told if nobody has anything better to say.
                if error.code != 2 || failure.code == 2 { failure = error }
            }
        }
        let best = found.max { first, second in
            // One that sees a majority is right: there is one.
            (first.report.isNeeded ? 0 : 1, first.report.view, first.report.keptLedgers.count)
                < (second.report.isNeeded ? 0 : 1, second.report.view, second.report.keptLedgers.count)
        }
        guard let best else { throw failure }
        return best
    }
}

/// What `recover` says.
struct RecoveryText {
    var report: RecoveryDocument

    var healthy: [String] {
        let there = report.voters - report.missingVoters.count
        return ["nothing to recover: \(there) of \(report.voters) voters are there, and \(report.majority) suffice"]
            + report.lostLedgers.map { "  wait: " + away($0) }
    }

    var lines: [String] {
        missing + [""] + cost("goes on with", "gives up") + [
            "",
            "Should the missing nodes come back with their disks, the cluster goes on by itself, and nothing is given up:",
            "wait for them if they may. What they hold of a ledger that was given up is gone from the cluster.",
            "`apus recover --yes` goes on without them.",
        ]
    }

    var done: [String] {
        ["\(report.answeredBy) has begun view \(report.forcedView.map(String.init) ?? "?") without what is missing"]
            + cost("went on with", "gave up")
    }

    private var missing: [String] {
        let there = report.voters - report.missingVoters.count
        let head =
            "\(report.answeredBy), in view \(report.view): \(there) of \(report.voters) voters are there, "
            + "\(report.majority) are needed for the cluster to decide by itself"
        let names = report.missingVoters.map { voter in
            let remark = voter.hasOtherDisk ? " (it is here, with another disk than the one that voted)" : ""
            return "  missing: \(voter.name)" + remark
        }
        return [head] + names
    }

    private func cost(_ keeps: String, _ gives: String) -> [String] {
        let kept = report.keptLedgers.map { ledger in
            "  \(keeps) tasks that \(ledger.founder) took (ledger \(ledger.id)): "
                + "\(ledger.living.count) of \(ledger.replicas.count) copies, at \(ledger.living.joined(separator: ", "))"
        }
        return kept + report.lostLedgers.map { "  \(gives) " + away($0) }
    }

    private func away(_ ledger: RecoveryDocument.Ledger) -> String {
        "tasks that \(ledger.founder) took (ledger \(ledger.id)): no copy is here; there were \(ledger.replicas.count), at "
            + ledger.replicas.joined(separator: ", ")
    }
}

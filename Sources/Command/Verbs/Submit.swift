import APIModel
import ArgumentParser
import Foundation
import Primitives

struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Submits a task, or many of one kind.",
        discussion: """
            Example: apus submit sleep '{"milliseconds": 50}' --count 400 --wait
            Exit code with --wait: 0 if every task completed, else 1.
            """)

    @Argument(help: "Which handler: echo, sleep, email ...")
    var type: String

    @Argument(help: ArgumentHelp("Any JSON value. (default: null)", valueName: "json"))
    var payload: String?

    @Option(help: "1...10, 10 first. (default: 5)")
    var priority: Int?

    @Option(help: "(default: default)")
    var queue: String?

    @Option(help: "Seconds until it may start.")
    var delay: Double?

    @Option(help: "Seconds that one attempt may take. (default: 300)")
    var timeout: Double?

    @Option(help: "Retries after the first attempt. (default: 3)")
    var retries: Int?

    @Option(help: ArgumentHelp("Told of the end by a POST, signed as Standard Webhooks.", valueName: "url"))
    var callback: String?

    @Option(help: "How many of it.")
    var count = 1

    @Flag(help: "Waits until all of them have ended.")
    var wait = false

    @Flag(help: "Prints the answers as JSON, one a line.")
    var json = false

    @OptionGroup var client: ClientOptions

    /// Tasks of one request, when there are many.
    private static let batch = 1000
    private static let countRange = 1...1_000_000

    private var submission: SubmissionDocument {
        get throws {
            if let payload {
                do {
                    _ = try JSONSerialization.jsonObject(with: Data(payload.utf8), options: .fragmentsAllowed)
                } catch {
                    throw CommandFailure(
                        "the payload is not JSON: `\(clipped(payload, 100))`; a text needs its own quotes: '\"text\"'")
                }
            }
            return SubmissionDocument(
                taskType: type, payload: payload.map { RawJSON(Array($0.utf8)) }, priority: priority, queue: queue,
                maxRetries: retries, timeout: timeout, delay: delay, callbackURL: callback)
        }
    }

    func run() async throws {
        guard Self.countRange.contains(count) else {
            throw CommandFailure(
                "--count \(count): expected \(Self.countRange.lowerBound) to \(Self.countRange.upperBound)")
        }
        let client = try client.client()
        let task = try submission
        if count == 1 {
            try await submitOne(task, client)
        } else {
            try await submitMany(task, client)
        }
    }

    private func submitOne(_ task: SubmissionDocument, _ client: ClusterClient) async throws {
        let (accepted, answer) = try await client.ask(
            .POST, "/api/tasks", body: JSONWriter.bytes(of: task), limit: .seconds(30), as: AcceptedDocument.self)
        if json {
            say(String(decoding: answer.body, as: UTF8.self))
        } else {
            let holders = accepted.durability.holders.joined(separator: ", ")
            say("\(accepted.id)  \(accepted.status) at \(accepted.node); \(accepted.durability.level): \(holders)")
        }
        guard wait else { return }
        let (document, body) = try await client.outcome(of: accepted.id)
        say(
            json
                ? String(decoding: body, as: UTF8.self)
                : TaskReport(task: document).lines(terminal: .output).joined(separator: "\n"))
        if document.status != "completed" { throw ExitCode(1) }
    }

    private func submitMany(_ task: SubmissionDocument, _ client: ClusterClient) async throws {
        let begin = ContinuousClock.now
        let progress = Progress()
        var ids: [TaskID] = []
        var rejected: [String: Int] = [:]
        var weakest: Set<String> = []
        for start in stride(from: 0, to: count, by: Self.batch) {
            let tasks = Array(repeating: task, count: min(Self.batch, count - start))
            let (batch, answer) = try await client.ask(
                .POST, "/api/tasks/batch", body: JSONWriter.bytes(of: tasks), limit: .seconds(60),
                as: BatchDocument.self)
            if json { say(String(decoding: answer.body, as: UTF8.self)) }
            for case .accepted(let id) in batch.results { ids.append(id) }
            for case .rejected(let problem) in batch.results {
                rejected["\(problem.title): \(problem.detail)", default: 0] += 1
            }
            if let durability = batch.durability { weakest.insert(durability) }
            if !json { await progress.show("submitted \(start + tasks.count) of \(count)") }
        }
        await progress.end()
        if !json {
            let levels = weakest.isEmpty ? "" : " (\(weakest.sorted().joined(separator: ", ")))"
            say(
                "accepted \(ids.count), rejected \(count - ids.count) in \(shown(ContinuousClock.now - begin, digits: 2))\(levels)"
            )
            for (reason, times) in rejected.sorted(by: { $0.key < $1.key }) { say("  \(times) times: \(reason)") }
        }
        if wait { try await awaitAll(ids, client, since: begin) }
        if ids.count < count { throw ExitCode(1) }
    }

    private func awaitAll(_ ids: [TaskID], _ client: ClusterClient, since begin: ContinuousClock.Instant) async throws {
        let progress = Progress()
        var outcomes: [String: Int] = [:]
        for id in ids {
            // One after the other: the first ones wait for long, the last ones have ended by then.
            outcomes[try await client.outcome(of: id).document.status, default: 0] += 1
            let ended = outcomes.values.reduce(0, +)
            if !json, ended % max(1, ids.count / 20) == 0 { await progress.show("\(ended) of \(ids.count) have ended") }
        }
        await progress.end()
        let summary = outcomes.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        if !json {
            say("\(summary.isEmpty ? "nothing" : summary) after \(shown(ContinuousClock.now - begin, digits: 2))")
        }
        if outcomes.keys.contains(where: { $0 != "completed" }) { throw ExitCode(1) }
    }
}

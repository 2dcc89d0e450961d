import APIModel
import ArgumentParser
import Foundation

struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publishes a message: each subscription whose pattern fits the topic gets a task.")

    @Argument(help: "Words with dots between them: orders.eu.paid.")
    var topic: String

    @Argument(help: ArgumentHelp("Any JSON value. (default: null)", valueName: "json"))
    var payload: String?

    @Option(help: "Publishes it once under this key, however often it is sent.")
    var key: String?

    @Option(help: "1...10, 10 first. (default: that of each subscription)")
    var priority: Int?

    @Flag(help: "Prints the answer as it is.")
    var json = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        var fields: [String: JSONValue] = [:]
        if let payload { fields["payload"] = try Self.value(payload) }
        if let key { fields["idempotency_key"] = .string(key) }
        if let priority { fields["priority"] = .integer(Int64(priority)) }
        let (message, answer) = try await client.client().ask(
            .POST, "/api/topics/\(try pathStep(topic, "topic"))",
            body: JSONWriter.bytes(of: JSONValue.object(fields)), limit: .seconds(30), as: PublishedDocument.self)
        if json { return say(String(decoding: answer.body, as: UTF8.self)) }
        guard let id = message.id else { return say("nobody has subscribed to \(topic)") }
        say("\(id)  \(message.tasks.count == 1 ? "1 task" : "\(message.tasks.count) tasks")")
        for task in message.tasks { say("  \(task.id)  \(task.subscription)") }
    }

    private static func value(_ text: String) throws -> JSONValue {
        do {
            return try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
        } catch {
            throw CommandFailure(
                "the payload is not JSON: `\(clipped(text, 100))`; a text needs its own quotes: '\"text\"'")
        }
    }
}

struct Subscriptions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows who gets the messages of which topics, and changes it.",
        subcommands: [ListSubscriptions.self, SetSubscription.self, RemoveSubscription.self],
        defaultSubcommand: ListSubscriptions.self)
}

extension Subscriptions {
    struct ListSubscriptions: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Shows all subscriptions.")

        @Flag(help: "Prints the answer of `GET /api/subscriptions` as it is.")
        var json = false

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let (document, answer) = try await client.client().ask(
                .GET, "/api/subscriptions", as: SubscriptionsDocument.self)
            if json { return say(String(decoding: answer.body, as: UTF8.self)) }
            guard !document.subscriptions.isEmpty else { return say("there are no subscriptions") }
            var table = Table(columns: [.init(title: "subscription"), .init(title: "topic"), .init(title: "task")])
            for subscription in document.subscriptions {
                table.rows.append([
                    Table.Cell(clipped(subscription.name, 30)), Table.Cell(clipped(subscription.topic, 40)),
                    Table.Cell(clipped(subscription.task.text, 60)),
                ])
            }
            say(table.lines(width: 120, terminal: .output).joined(separator: "\n"))
        }
    }

    struct SetSubscription: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Subscribes to topics, or changes a subscription.",
            discussion: "Example: apus subscriptions set billing 'orders.*.paid' email --queue mail")

        @Argument(help: "The name of the subscription.")
        var name: String

        @Argument(help: "Which topics: * stands for one word, # for any number.")
        var topic: String

        @Argument(help: "Which handler is to run for each message.")
        var type: String

        @Option(help: "(default: default)")
        var queue: String?

        @Option(help: "1...10, 10 first. (default: 5)")
        var priority: Int?

        @Option(help: "Seconds that one attempt may take. (default: 300)")
        var timeout: Double?

        @Option(help: "Retries after the first attempt. (default: 3)")
        var retries: Int?

        @Option(help: "Seconds after the message until it may start.")
        var delay: Double?

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let task = SubmissionDocument(
                taskType: type, priority: priority, queue: queue, maxRetries: retries, timeout: timeout, delay: delay)
            let spec = try JSONDecoder().decode(JSONValue.self, from: Data(JSONWriter.bytes(of: task)))
            let body = JSONValue.object(["topic": .string(topic), "task": spec])
            let (document, answer) = try await client.client().ask(
                .PUT, "/api/subscriptions/\(try pathStep(name, "subscription"))", body: JSONWriter.bytes(of: body),
                limit: .seconds(12), as: SubscriptionDocument.self)
            say("\(document.name): \(answer.status == 201 ? "subscribed to" : "is for") \(document.topic)")
        }
    }

    struct RemoveSubscription: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Ends a subscription. The tasks of messages before go on.")

        @Argument(help: "The name of the subscription.")
        var name: String

        @OptionGroup var client: ClientOptions

        func run() async throws {
            let node = try await client.client().living()
            let answer = try await ClusterClient.send(
                .DELETE, "/api/subscriptions/\(try pathStep(name, "subscription"))", to: node, limit: .seconds(12))
            // What is no success is a problem, which is thrown.
            if answer.status != 204 { _ = try answer.document(as: JSONValue.self) }
            say("\(name) is gone")
        }
    }
}

/// A name as a part of a path.
func pathStep(_ name: String, _ what: String) throws -> String {
    let allowed = CharacterSet.alphanumerics.union(.init(charactersIn: "._-"))
    guard let step = name.addingPercentEncoding(withAllowedCharacters: allowed), !step.isEmpty else {
        throw ValidationError("\"\(name)\" is not the name of a \(what).")
    }
    return step
}

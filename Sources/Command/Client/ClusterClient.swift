import APIModel
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Primitives

/// Asks the nodes of a cluster over HTTP: one request to one node, or the same to all and the first answer wins.
///
/// Nothing is sent twice: a submission that is not answered may have been accepted.
struct ClusterClient: Sendable {
    struct Answer: Sendable {
        var status: UInt
        var body: [UInt8]
        /// The node that gave it.
        var url: String
    }

    /// `http://HOST:PORT` of every node that may be asked.
    let nodes: [String]

    /// How long it is waited for a node that is asked whether it is there.
    static let probeLimit = TimeAmount.milliseconds(800)

    /// Never shut down: it lives as long as the process. Connecting is not tried again: a node that refuses is gone now.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(2)
        return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }()

    static func isReady(_ node: String) async -> Bool {
        // No answer means that it is not ready, whatever the reason.
        (try? await send(.GET, "/readyz", to: node, limit: probeLimit).status) == 200
    }

    /// Why a node takes no requests, as it says itself; nil: it does, or says nothing.
    static func unreadiness(_ node: String) async -> String? {
        // Only asked to explain a failure that is told in any case: what cannot be had is left out.
        guard let answer = try? await send(.GET, "/readyz", to: node, limit: probeLimit), answer.status != 200 else {
            return nil
        }
        return (try? answer.decoded(as: ProblemDocument.self))?.detail
    }

    /// A node gave no answer.
    struct NoAnswer: Error {
        var failure: CommandFailure
        /// The request may have arrived: what it asks for may have been done.
        var mayHaveArrived: Bool

        init(_ message: String, mayHaveArrived: Bool) {
            failure = CommandFailure(message, code: 2)
            self.mayHaveArrived = mayHaveArrived
        }
    }

    /// Sends one request to one node. Throws a sentence when there is no answer within `limit`.
    static func send(
        _ method: HTTPMethod, _ path: String, to node: String, body: [UInt8]? = nil, limit: TimeAmount
    ) async throws -> Answer {
        do {
            return try await exchange(method, path, with: node, body: body, limit: limit)
        } catch let silence as NoAnswer {
            throw silence.failure
        }
    }

    /// The same. Throws `NoAnswer`, or that it was cancelled.
    static func exchange(
        _ method: HTTPMethod, _ path: String, with node: String, body: [UInt8]? = nil, limit: TimeAmount
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: node + path)
        request.method = method
        request.headers.add(name: "accept", value: "application/json")
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        do {
            let response = try await http.execute(request, timeout: limit)
            let buffer = try await response.body.collect(upTo: maximumBody)
            return Answer(status: response.status.code, body: Array(buffer.readableBytesView), url: node)
        } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
            throw NoAnswer(
                "\(node) did not answer within \(limit.nanoseconds / 1_000_000) ms",
                mayHaveArrived: error == .deadlineExceeded)
        } catch is NIOConnectionError {
            throw NoAnswer("nobody listens at \(node)", mayHaveArrived: false)
        } catch let error where !(error is CancellationError) {
            throw NoAnswer("\(node) gave no answer: \(error)", mayHaveArrived: true)
        }
    }

    /// A page of tasks, or the result of one, with room.
    private static let maximumBody = Limits.bodyBytes

    /// Sends a GET to every node at once; the first answer that satisfies `isGood` wins, else any answer. Throws if there is
    /// none within `probeLimit`.
    func first(_ path: String, _ isGood: @escaping @Sendable (Answer) -> Bool) async throws -> Answer {
        let answer = await withTaskGroup(of: Result<Answer, any Error>.self) { group in
            for node in nodes {
                group.addTask {
                    do {
                        return .success(try await Self.send(.GET, path, to: node, limit: Self.probeLimit))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            var second: Answer?
            for await case .success(let answer) in group {
                if isGood(answer) {
                    group.cancelAll()
                    return Answer?.some(answer)
                }
                second = second ?? answer
            }
            return second
        }
        if let answer { return answer }
        throw CommandFailure("no node answers; asked: \(nodes.joined(separator: ", "))", code: 2)
    }

    /// A node that takes requests; one that is draining or fenced only if there is no better.
    func living() async throws -> String {
        try await first("/readyz") { $0.status == 200 }.url
    }

    /// Asks a living node, and understands its answer.
    func ask<Document: Decodable>(
        _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, limit: TimeAmount = .seconds(10),
        as type: Document.Type
    ) async throws -> (document: Document, answer: Answer) {
        let answer = try await Self.send(method, path, to: try await living(), body: body, limit: limit)
        return (try answer.document(as: type), answer)
    }
}

extension ClusterClient.Answer {
    /// The document in a good answer; a problem document is thrown as a sentence.
    func document<Document: Decodable>(as type: Document.Type) throws -> Document {
        guard (200..<300).contains(status) else { throw problem }
        return try decoded(as: type)
    }

    /// The document in an answer of any status.
    func decoded<Document: Decodable>(as type: Document.Type) throws -> Document {
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw CommandFailure("\(url) answered something that this version does not understand: \(error)")
        }
    }

    /// What a bad answer says.
    var problem: CommandFailure {
        // Whatever is in front of a node (a proxy) may answer something else.
        guard let problem = try? JSONDecoder().decode(ProblemDocument.self, from: Data(body)) else {
            return CommandFailure("\(url) answered \(status): \(String(decoding: body.prefix(200), as: UTF8.self))")
        }
        let items = problem.errors.map { "\n  \($0.pointer): \($0.detail)" }.joined()
        return CommandFailure("\(problem.title) (\(problem.status)): \(problem.detail)\(items)")
    }
}

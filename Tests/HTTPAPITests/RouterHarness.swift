import APIModel
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Primitives
import Service
import Testing

@testable import HTTPAPI

/// An answer of the routes.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func decoded<Document: Decodable>(as type: Document.Type) throws -> Document {
        try JSONDecoder().decode(type, from: Data(body))
    }

    /// The problem, which has to be one by its media type too.
    func problem() throws -> ProblemDocument {
        #expect(headers[.contentType] == "application/problem+json")
        let problem = try decoded(as: ProblemDocument.self)
        #expect(problem.status == status)
        #expect(problem.type.hasPrefix("/docs#"))
        return problem
    }
}

/// The routes without a socket, in front of `service`; its clock stands at `Samples.time`.
struct Routes: Sendable {
    let service: FakeService
    private let responder: APIResponder

    init(_ service: FakeService = FakeService()) {
        self.service = service
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        responder = APIResponder(
            api: API(service: service, clock: { Samples.time }, logger: logger), routes: RouteTable(Route.all))
    }

    func callAsFunction(
        _ method: HTTPRequest.Method, _ path: String, headers: HTTPFields = [:], body: String? = nil
    ) async throws -> Answer {
        let application = Application(responder: responder)
        return try await application.test(.router) { client in
            let buffer = body.map { ByteBuffer(string: $0) }
            let response = try await client.executeRequest(uri: path, method: method, headers: headers, body: buffer)
            return Answer(
                status: response.status.code, headers: response.headers, body: Array(response.body.readableBytesView))
        }
    }

    func submit(_ body: String, to path: String = "/api/tasks", headers: HTTPFields = [:]) async throws -> Answer {
        try await self(.post, path, headers: headers, body: body)
    }
}

import APIModel
import HTTPTypes
import Hummingbird
import NIOCore
import Primitives

/// An error that a client gets to see (RFC 9457).
struct Problem: Error {
    /// What can go wrong: the whole catalogue, shown by `/docs`.
    enum Kind: String, CaseIterable {
        case malformedJSON = "malformed-json"
        case malformedRequest = "malformed-request"
        case notFound = "not-found"
        case methodNotAllowed = "method-not-allowed"
        case requestTimeout = "request-timeout"
        case alreadyFinished = "already-finished"
        case resultExpired = "result-expired"
        case contentTooLarge = "content-too-large"
        case uriTooLong = "uri-too-long"
        case unsupportedMediaType = "unsupported-media-type"
        case invalidInput = "invalid-input"
        case unknownTaskType = "unknown-task-type"
        case keyConflict = "key-conflict"
        case keyPending = "key-pending"
        case headerTooLarge = "header-too-large"
        case internalError = "internal-error"
        case unavailable = "unavailable"
        case full = "full"
        case tooManyConnections = "too-many-connections"
        case unconfirmed = "unconfirmed"
        case diskFull = "disk-full"
        case notNeeded = "not-needed"
        case wrongState = "wrong-state"
        case tooManyQueues = "too-many-queues"
        case tooManySubscriptions = "too-many-subscriptions"
        case tooManySchedules = "too-many-schedules"

        var status: HTTPResponse.Status {
            switch self {
            case .malformedJSON, .malformedRequest: .badRequest
            case .notFound: .notFound
            case .methodNotAllowed: .methodNotAllowed
            case .requestTimeout: .requestTimeout
            case .alreadyFinished, .notNeeded, .wrongState, .keyPending, .tooManyQueues, .tooManySubscriptions,
                .tooManySchedules:
                .conflict
            case .resultExpired: .gone
            case .contentTooLarge: .contentTooLarge
            case .uriTooLong: .uriTooLong
            case .unsupportedMediaType: .unsupportedMediaType
            case .invalidInput, .unknownTaskType, .keyConflict: .unprocessableContent
            case .headerTooLarge: .requestHeaderFieldsTooLarge
            case .internalError: .internalServerError
            case .unavailable, .full, .tooManyConnections: .serviceUnavailable
            case .unconfirmed: .gatewayTimeout
            case .diskFull: .init(code: 507, reasonPhrase: "Insufficient Storage")
            }
        }

        var title: String {
            switch self {
            case .malformedJSON: "The body is not JSON"
            case .malformedRequest: "The request is not HTTP/1.1"
            case .notFound: "Not found"
            case .methodNotAllowed: "Method not allowed"
            case .requestTimeout: "The request took too long to arrive"
            case .alreadyFinished: "The task has ended"
            case .resultExpired: "The result's time is up"
            case .contentTooLarge: "The body is too large"
            case .uriTooLong: "The URI is too long"
            case .unsupportedMediaType: "Unsupported media type"
            case .invalidInput: "Invalid input"
            case .unknownTaskType: "No handler for this task type"
            case .keyConflict: "The idempotency key belongs to another request"
            case .keyPending: "A request with this idempotency key is under way"
            case .headerTooLarge: "The header is too large"
            case .internalError: "An error of the server"
            case .unavailable: "Unavailable at the moment"
            case .full: "The cluster is full"
            case .tooManyConnections: "Too many connections"
            case .unconfirmed: "Not known whether it was accepted"
            case .diskFull: "No room on any disk"
            case .notNeeded: "The cluster decides by itself"
            case .wrongState: "The task is not in a state for this"
            case .tooManyQueues: "Too many queues have settings"
            case .tooManySubscriptions: "Too many subscriptions"
            case .tooManySchedules: "Too many schedules"
            }
        }
    }

    let document: ProblemDocument
    var headers: HTTPFields

    init(
        _ kind: Kind, _ detail: String, errors: [ProblemDocument.Item] = [], id: TaskID? = nil, offset: Int? = nil,
        headers: HTTPFields = [:]
    ) {
        document = ProblemDocument(
            type: "/docs#\(kind.rawValue)", title: kind.title, status: kind.status.code, detail: detail, errors: errors,
            id: id, offset: offset)
        self.headers = headers
    }

    static func unknownTaskType(_ type: String, nearest: String?, at pointer: String) -> Problem {
        Problem(
            .unknownTaskType,
            "no node has a handler for \(quoted(type))" + (nearest.map { ", did you mean \"\($0)\"?" } ?? ""),
            errors: [ProblemDocument.Item(pointer: pointer, detail: "unknown")])
    }

    static let callbackUnsigned = Problem(
        .invalidInput,
        "callback_url: this node has no secret to sign callbacks with, and none is sent unsigned; nothing was accepted. Start "
            + "every node with the same --callback-secrets FILE (APUS_CALLBACK_SECRETS), or leave callback_url out",
        errors: [
            ProblemDocument.Item(
                pointer: "/callback_url", detail: "not possible at this node: it has no secret to sign with")
        ])

    /// One parameter or header that is wrong.
    static func invalid(_ pointer: String, _ detail: String) -> Problem {
        Problem(
            .invalidInput, "\(pointer): \(detail)", errors: [ProblemDocument.Item(pointer: pointer, detail: detail)])
    }

    static func invalid(_ errors: [ProblemDocument.Item]) -> Problem {
        invalid(errors, in: "task", effect: "nothing was accepted")
    }

    static func invalid(
        _ errors: [ProblemDocument.Item], in what: String, effect: String = "nothing was changed"
    ) -> Problem {
        let count = errors.count == 1 ? "1 error" : "\(errors.count) errors"
        return Problem(.invalidInput, "\(count) in the \(what); \(effect)", errors: errors)
    }

    static func malformed(_ error: JSONError) -> Problem {
        Problem(.malformedJSON, "at byte \(error.offset): \(error.reason)", offset: error.offset)
    }

    static func unavailable(_ reason: String, retryAfter: Int = 1) -> Problem {
        Problem(.unavailable, reason, headers: [.retryAfter: String(retryAfter)])
    }

    static func contentTooLarge(limit: Int) -> Problem {
        Problem(.contentTooLarge, "a body may have \(limit) bytes")
    }

    var body: ByteBuffer { ByteBuffer(bytes: JSONWriter.bytes(of: document)) }

    /// What a handler of the connection writes by itself; the connection is closed after it.
    func head(contentLength: Int) -> HTTPResponse {
        var fields = headers
        fields[.contentType] = Self.contentType
        fields[.contentLength] = String(contentLength)
        fields[.connection] = "close"
        return HTTPResponse(status: .init(code: document.status), headerFields: fields)
    }

    var response: Response {
        var fields = headers
        fields[.contentType] = Self.contentType
        return Response(status: .init(code: document.status), headers: fields, body: ResponseBody(byteBuffer: body))
    }

    static let contentType = "application/problem+json"
}

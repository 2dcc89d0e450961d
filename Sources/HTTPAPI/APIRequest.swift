import HTTPTypes
import Hummingbird
import NIOCore
import Primitives

/// One request on its way to its route.
struct APIRequest: Sendable {
    let request: Request
    let channel: any Channel
    /// What stands in the path for the route's parameter; empty if it has none.
    var parameter = ""

    var headers: HTTPFields { request.headers }

    /// Runs `use` with the whole body. Throws a `Problem` if it is longer than it may be or there is no room for it now,
    /// and `ConnectionLost` if it ended early.
    func withBody<Value>(_ budget: BodyBudget, _ use: ([UInt8]) async throws -> Value) async throws -> Value {
        var declared: Int?
        if let length = headers[.contentLength], let count = Int(length) {
            guard count <= Limits.bodyBytes else { throw Problem.contentTooLarge(limit: Limits.bodyBytes) }
            declared = count
        }
        return try await budget.reserve(declared ?? Limits.bodyBytes) { try await use(try await collect(declared)) }
    }

    private func collect(_ declared: Int?) async throws -> [UInt8] {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: Limits.bodyBytes)
        } catch is NIOTooManyBytesError {
            throw Problem.contentTooLarge(limit: Limits.bodyBytes)
        } catch {
            throw ConnectionLost(cause: error)
        }
        // A stream that ends early must not pass for a shorter body: half a batch of NDJSON is a valid one.
        if let declared, buffer.readableBytes != declared {
            throw Problem(.malformedRequest, "the body ended after \(buffer.readableBytes) of \(declared) bytes")
        }
        return Array(buffer.readableBytesView)
    }

    /// The parameters of the query, each at most once, all of `known`.
    func query(_ known: [String]) throws(Problem) -> [String: String] {
        guard request.uri.query != nil else { return [:] }
        var parameters: [String: String] = [:]
        for (key, value) in request.uri.queryParameters {
            let name = String(key)
            guard known.contains(name) else {
                let nearest = nearestName(to: name, among: known).map { ", did you mean \"\($0)\"?" }
                throw Problem.invalid("?" + quotedParameter(name), "unknown parameter" + (nearest ?? ""))
            }
            guard parameters.updateValue(String(value), forKey: name) == nil else {
                throw Problem.invalid("?\(name)", "given twice")
            }
        }
        return parameters
    }

    private func quotedParameter(_ name: String) -> String {
        String(decoding: name.utf8.prefix(APILimits.quotedBytes), as: UTF8.self)
    }
}

/// The connection ended before the request was whole: nobody is there to be answered.
struct ConnectionLost: Error {
    let cause: any Error
}

/// How long a client wants to wait for the end of a task.
struct Wait: Hashable {
    var duration: Duration
    /// Asked for by `Prefer`, so that the answer has to say what was applied.
    var isPreference: Bool

    /// `?wait=` in seconds, which may be fractional and has to be valid; else `Prefer: wait=` (RFC 7240) in whole seconds,
    /// which is shortened if it is too long, and ignored if it is not valid, as the RFC wants it.
    static func parse(query: String?, prefer: [String]) throws(Problem) -> Wait? {
        if let query {
            guard let seconds = Double(query), (0...Double(Limits.waitSeconds)).contains(seconds) else {
                throw Problem.invalid("?wait", "must be 0...\(Limits.waitSeconds) seconds, got \(quoted(query))")
            }
            return seconds > 0 ? Wait(duration: .milliseconds(Int64(seconds * 1000)), isPreference: false) : nil
        }
        for preference in prefer.flatMap({ $0.split(separator: ",") }) {
            let token = preference.prefix(while: { $0 != ";" }).filter { $0 != " " && $0 != "\t" }.lowercased()
            guard token.hasPrefix("wait="), let seconds = UInt32(token.dropFirst(5)), seconds > 0 else { continue }
            return Wait(duration: .seconds(min(Int(seconds), Limits.waitSeconds)), isPreference: true)
        }
        return nil
    }

    /// The header that says what was applied.
    func apply(to headers: inout HTTPFields) {
        if isPreference { headers[.preferenceApplied] = "wait=\(duration.milliseconds / 1000)" }
    }
}

extension HTTPField.Name {
    static let preferenceApplied = constant("Preference-Applied")
    static let prefer = constant("Prefer")
    static let idempotencyKey = constant("Idempotency-Key")
    static let idempotentReplayed = constant("Idempotent-Replayed")

    /// A name that is a token, so that there always is one.
    private static func constant(_ name: String) -> HTTPField.Name {
        guard let field = HTTPField.Name(name) else { preconditionFailure("\(name) is not the name of a header field") }
        return field
    }
}

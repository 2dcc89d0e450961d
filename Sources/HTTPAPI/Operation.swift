import APIModel
import Primitives
import TaskLedger

/// What the OpenAPI document says of a route.
struct Operation: Sendable {
    struct Parameter: Sendable {
        let name: String
        /// `path`, `query` or `header`.
        let place: String
        let schema: JSONValue
        let description: String
    }

    struct Answer: Sendable {
        let status: Int
        let description: String
        /// Name of a schema; nil for what is not JSON.
        let schema: String?
        var mediaType = "application/json"
    }

    /// Unique.
    let id: String
    let summary: String
    var parameters: [Parameter] = []
    /// Name of the schema of the body; nil if it takes none.
    var body: String?
    var isBodyOptional = false
    /// Also takes NDJSON.
    var takesLines = false
    let answers: [Answer]
    /// Problems that it answers besides those of every request.
    var problems: [Problem.Kind] = []
}

extension Operation.Parameter {
    static let wait = Self(
        name: "wait", place: "query", schema: ["type": "number", "minimum": 0, "maximum": 60],
        description: "Seconds to wait for the end of the task.")
    static let at = Self(
        name: "at", place: "query", schema: ["type": "string", "format": "date-time"],
        description: "The state at this time, rebuilt from the history; node is null. Not together with wait.")
    static let prefer = Self(
        name: "Prefer", place: "header", schema: ["type": "string", "examples": ["wait=20"]],
        description: "wait=SECONDS of RFC 7240, at most 60; the answer's Preference-Applied tells what was applied.")
    static let idempotencyKey = Self(
        name: "Idempotency-Key", place: "header",
        schema: ["type": "string", "minLength": 1, "maxLength": .integer(Int64(Limits.keyBytes + 2))],
        description: "The same as idempotency_key of the body.")
    static let id = Self(
        name: "id", place: "path", schema: ["type": "string", "format": "uuid"], description: "The id of a task.")
    static let queue = Self(
        name: "queue", place: "path", schema: ["type": "string"], description: "The name of a queue.")

    static let schedule = Self(
        name: "schedule", place: "path", schema: ["type": "string"], description: "The name of a schedule.")

    static func query(_ name: String, _ schema: JSONValue, _ description: String) -> Self {
        Self(name: name, place: "query", schema: schema, description: description)
    }
}

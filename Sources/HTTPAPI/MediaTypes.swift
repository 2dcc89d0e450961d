import Hummingbird

/// What a request's body is, by its header.
enum BodyFormat: Hashable {
    case json
    case lines
    /// No `Content-Type`: taken for JSON.
    case unsaid

    /// Throws 415 for what is not JSON in UTF-8. Strict, since form types, which any web page may send anywhere, would
    /// otherwise submit tasks.
    static func of(_ headers: HTTPFields, allowsLines: Bool) throws(Problem) -> BodyFormat {
        if let coding = headers[.contentEncoding], coding.lowercased() != "identity" {
            throw unsupported("Content-Encoding \(quoted(coding)): send the body as it is", allowsLines)
        }
        guard let field = headers[.contentType] else { return .unsaid }
        // What nearly every request says, without the strings made below.
        if field == "application/json" { return .json }
        let parts = field.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" && $0 != "\"" }.lowercased() }
        for charset in parts.dropFirst() where charset.hasPrefix("charset=") {
            guard ["charset=utf-8", "charset=utf8", "charset=us-ascii"].contains(charset) else {
                throw unsupported("\(quoted(field)): JSON is UTF-8", allowsLines)
            }
        }
        switch parts.first ?? "" {
        case let type where type == "application/json" || type.hasPrefix("application/") && type.hasSuffix("+json"):
            return .json
        case "application/x-ndjson", "application/ndjson", "application/jsonl":
            guard allowsLines else { fallthrough }
            return .lines
        default: throw unsupported(quoted(field), allowsLines)
        }
    }

    private static func unsupported(_ what: String, _ allowsLines: Bool) -> Problem {
        let accepted = allowsLines ? "application/json, application/x-ndjson" : "application/json"
        return Problem(
            .unsupportedMediaType, "cannot read \(what); send Content-Type: \(accepted)", headers: [.accept: accepted])
    }
}

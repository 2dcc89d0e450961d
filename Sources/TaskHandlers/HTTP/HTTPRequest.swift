import NIOHTTP1
import Primitives
import TaskExecution

/// The payload of an `http` task, read strictly.
struct HTTPRequest {
    var address: WebAddress
    var method: HTTPMethod
    var headers = HTTPHeaders()
    var body: [UInt8]?
    var timeout: Duration
    /// Statuses that are a success; nil: 200...299.
    var expected: [Int]?

    private static let methods: [HTTPMethod] = [.GET, .HEAD, .POST, .PUT, .PATCH, .DELETE, .OPTIONS]
    /// What frames a request, or belongs to a connection, is the client's own.
    private static let refusedHeaders: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect",
        "proxy-authorization", "proxy-connection",
    ]

    init(_ attempt: TaskAttempt) throws(HandlerError) {
        let fields = try Fields(
            try JSONParser.parse(attempt.payload), at: "payload",
            known: ["url", "method", "headers", "body", "json", "timeout", "expect"])
        let url = try fields.required("url", try fields.string("url"))
        do throws(WebAddress.Invalid) {
            address = try WebAddress(url)
        } catch {
            throw fields.failure("url", error.description)
        }
        let json = try JSONParser.members(of: attempt.payload)["json"]
        switch (try fields.string("body"), fields.value("json")) {
        case (.some, .some): throw fields.failure("json", "\"body\" is given too: give one of them")
        case (let text?, nil): body = Array(text.utf8)
        // As it was sent: numbers too large for any of our types stay as they are.
        case (nil, .some): body = json.map { Array($0) }
        case (nil, nil): body = nil
        }
        let name = try fields.string("method")?.uppercased() ?? (body == nil ? "GET" : "POST")
        guard let method = Self.methods.first(where: { $0.rawValue == name }) else {
            let names = Self.methods.map(\.rawValue).joined(separator: ", ")
            throw fields.failure("method", "is \"\(name)\", expected one of \(names)")
        }
        self.method = method
        if body != nil, method == .GET || method == .HEAD {
            throw fields.failure("method", "is \(name), which has no body")
        }
        timeout = .milliseconds(
            Int64((try fields.number("timeout", in: 0.1...Double(Limits.timeoutSeconds)) ?? 30) * 1000))
        if fields.value("expect") != nil {
            expected = []
            for element in try fields.array("expect", upTo: HandlerLimits.expectedStatuses) {
                guard case .integer(let status) = element, (200...599).contains(status) else {
                    throw fields.failure("expect", "has \(element.kind) that is no status of 200...599")
                }
                expected?.append(Int(status))
            }
        }
        try readHeaders(fields)
        addDefaults(attempt, isJSON: json != nil && body != nil)
    }

    private mutating func readHeaders(_ fields: Fields) throws(HandlerError) {
        guard let value = fields.value("headers") else { return }
        guard case .object(let members) = value else {
            throw fields.failure("headers", "is \(value.kind), expected an object of strings")
        }
        guard members.count <= HandlerLimits.requestHeaders else {
            throw fields.failure("headers", "has \(members.count) members, at most \(HandlerLimits.requestHeaders)")
        }
        for member in members {
            let place = "headers.\(member.name)"
            guard case .string(let text) = member.value else {
                throw fields.failure(place, "is \(member.value.kind), expected a string")
            }
            let isToken = member.name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
                    || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
            guard isToken, !member.name.isEmpty else { throw fields.failure(place, "is no name of a header") }
            guard !Self.refusedHeaders.contains(member.name.lowercased()) else {
                throw fields.failure(place, "is set by the client itself")
            }
            guard text.utf8.count <= HandlerLimits.headerBytes,
                text.utf8.allSatisfy({ $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F })
            else {
                throw fields.failure(
                    place, "must be at most \(HandlerLimits.headerBytes) bytes without control characters")
            }
            headers.add(name: member.name, value: text)
        }
    }

    private mutating func addDefaults(_ attempt: TaskAttempt, isJSON: Bool) {
        func add(_ name: String, _ value: String) {
            if !headers.contains(name: name) { headers.add(name: name, value: value) }
        }
        add("User-Agent", "apus/1")
        add("Accept", "*/*")
        // A receiver can tell a repeat of a task by the first, and which of two attempts is the later one by the second.
        add("Idempotency-Key", "\(attempt.id)")
        headers.replaceOrAdd(name: "Apus-Fencing-Token", value: "\(attempt.token)")
        if body != nil { add("Content-Type", isJSON ? "application/json" : "text/plain; charset=utf-8") }
    }

    /// Goes where an answer of 3xx leads.
    mutating func follow(_ status: Int, to next: WebAddress) {
        // As all clients do (RFC 9110, section 15.4): only 307 and 308 ask for the same again.
        if status == 303 && method != .HEAD || (301...302).contains(status) && method == .POST {
            method = .GET
            body = nil
            headers.remove(name: "Content-Type")
        }
        // What was meant for one site is not told to another.
        if !next.isSameOrigin(as: address) {
            headers.remove(name: "Authorization")
            headers.remove(name: "Cookie")
        }
        address = next
    }
}

import Foundation
import TaskExecution

/// The payload of `email`, decoded and checked. See `EmailHandler` for what it means.
struct EmailPayload: Sendable {
    struct Attachment: Sendable {
        var filename: String
        /// `type/subtype`, in lower case.
        var contentType: String
        var content: [UInt8]
    }

    struct Header: Sendable {
        var name: String
        var value: String
    }

    var from: Mailbox
    var to: [Mailbox]
    var cc: [Mailbox]
    var bcc: [Mailbox]
    var replyTo: [Mailbox]
    var subject: String
    var text: String?
    var html: String?
    var attachments: [Attachment]
    var headers: [Header]

    init(_ payload: JSONValue) throws(HandlerError) {
        let fields = try Fields(
            payload, at: "payload",
            known: [
                "to", "cc", "bcc", "from", "reply_to", "subject", "text", "body", "html", "attachments", "headers",
            ])
        to = try Self.mailboxes("to", fields)
        cc = try Self.mailboxes("cc", fields)
        bcc = try Self.mailboxes("bcc", fields)
        let count = to.count + cc.count + bcc.count
        guard count > 0 else { throw fields.failure("to", "is missing, and so are cc and bcc: nobody would get it") }
        guard count <= HandlerLimits.recipients else {
            throw .invalidPayload("payload has \(count) recipients, at most \(HandlerLimits.recipients) are allowed")
        }
        from = try Mailbox(try fields.string("from") ?? "apus@localhost", at: "payload.from")
        replyTo = try Self.mailboxes("reply_to", fields)
        subject = try fields.string("subject") ?? ""
        try Self.check(subject, "payload.subject")
        guard fields.value("text") == nil || fields.value("body") == nil else {
            throw fields.failure("body", "is another name for text: give one of them")
        }
        text = try fields.string(fields.value("body") == nil ? "text" : "body")
        html = try fields.string("html")
        attachments = []
        for (index, value) in try fields.array("attachments", upTo: HandlerLimits.attachments).enumerated() {
            attachments.append(try Self.attachment(value, at: "payload.attachments[\(index)]"))
        }
        headers = try Self.headers(fields)
    }

    private static func mailboxes(_ name: String, _ fields: Fields) throws(HandlerError) -> [Mailbox] {
        if case .string(let text) = fields.value(name) { return [try Mailbox(text, at: "\(fields.place).\(name)")] }
        var mailboxes: [Mailbox] = []
        for (index, text) in try fields.strings(name, upTo: HandlerLimits.recipients).enumerated() {
            mailboxes.append(try Mailbox(text, at: "\(fields.place).\(name)[\(index)]"))
        }
        return mailboxes
    }

    /// Refuses what could begin a new header, and what is longer than headers may be.
    private static func check(_ value: String, _ place: String) throws(HandlerError) {
        guard value.utf8.count <= HandlerLimits.headerBytes else {
            throw .invalidPayload("\(place) is longer than \(HandlerLimits.headerBytes) bytes")
        }
        guard !value.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw .invalidPayload("\(place) holds a control character, such as a line end")
        }
    }

    private static func attachment(_ value: JSONValue, at place: String) throws(HandlerError) -> Attachment {
        let fields = try Fields(value, at: place, known: ["filename", "content_type", "content_base64"])
        let filename = try fields.required("filename", try fields.string("filename"))
        try check(filename, "\(place).filename")
        guard (1...HandlerLimits.displayNameBytes).contains(filename.utf8.count), filename != ".", filename != "..",
            !filename.contains("/"), !filename.contains("\\")
        else {
            throw fields.failure(
                "filename", "must have 1 to \(HandlerLimits.displayNameBytes) bytes, and neither / nor \\")
        }
        let contentType = try fields.string("content_type")?.lowercased() ?? "application/octet-stream"
        let parts = contentType.split(separator: "/", omittingEmptySubsequences: false)
        let isToken = { (part: Substring) in
            !part.isEmpty && part.utf8.count <= 63
                && part.utf8.allSatisfy { Mailbox.isAtomCharacter($0) || $0 == UInt8(ascii: ".") }
        }
        guard parts.count == 2, parts.allSatisfy(isToken), parts[0] != "multipart", parts[0] != "message" else {
            throw fields.failure(
                "content_type",
                "is \"\(contentType.prefix(100))\", expected type/subtype of a single part, such as image/png")
        }
        let base64 = try fields.required("content_base64", try fields.string("content_base64"))
        guard let content = Data(base64Encoded: base64) else {
            throw fields.failure("content_base64", "is not base64 (RFC 4648, padded, without line ends)")
        }
        return Attachment(filename: filename, contentType: contentType, content: Array(content))
    }

    private static func headers(_ fields: Fields) throws(HandlerError) -> [Header] {
        guard let value = fields.value("headers") else { return [] }
        guard case .object(let members) = value else {
            throw fields.failure("headers", "is \(value.kind), expected an object of strings")
        }
        guard members.count <= HandlerLimits.customHeaders else {
            throw fields.failure("headers", "has more than \(HandlerLimits.customHeaders) members")
        }
        var headers: [Header] = []
        for member in members {
            let place = "payload.headers.\(member.name.prefix(100))"
            let letters = member.name.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
            guard letters, (1...60).contains(member.name.utf8.count) else {
                throw .invalidPayload("\(place): a header's name has 1 to 60 visible ASCII characters and no colon")
            }
            let name = member.name.lowercased()
            guard !reserved.contains(name), !name.hasPrefix("content-"), !name.hasPrefix("resent-") else {
                throw .invalidPayload("\(place) is written by the handler itself, or has no place here")
            }
            guard case .string(let text) = member.value else {
                throw .invalidPayload("\(place) is \(member.value.kind), expected a string")
            }
            try check(text, place)
            headers.append(Header(name: member.name, value: text))
        }
        return headers
    }

    /// Those that are structured, or that mean something to whoever delivers.
    private static let reserved: Set<String> = [
        "from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version", "received",
        "return-path",
    ]
}

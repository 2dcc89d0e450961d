import Primitives
import TaskExecution

/// `email`, also called `send_email`: writes a message to the outbox, the folder `outbox/` under the work folder, as `<task id>.eml`.
///
///     {"to": ["Ann <ann@example.com>"], "from": "shop@example.com", "subject": "Your order", "text": "...", "html":
///   "...",
///      "attachments": [{"filename": "bill.pdf", "content_type": "application/pdf", "content_base64": "..."}]}
///
/// - `to`, `cc`, `bcc`, `reply_to`: one address or an array of them; see `Mailbox`. One recipient of any kind is
///   needed.
/// - `from`: `apus@localhost` unless said. `subject`, `text` (or `body`), `html`: any text, or absent.
/// - `headers`: an object of further headers, such as `X-Campaign`.
///
/// The file is what a mail server's pickup folder takes: whoever delivers it reads the recipients from its headers and
/// removes `Bcc`, as `sendmail -t` does. It appears whole or not at all, and another run of the task replaces it by the
/// same bytes. The result is `{"message_id", "path", "bytes"}`.
struct EmailHandler: TaskHandler {
    var taskType = "email"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        try await OffloadPool.shared.run { flag in
            let payload = try EmailPayload(try JSONParser.parse(attempt.payload))
            let writer = MessageWriter(payload: payload, task: attempt.id)
            let message = writer.bytes()
            guard message.count <= HandlerLimits.messageBytes else {
                throw HandlerError(
                    type: "too_large",
                    message:
                        "the message has \(message.count) bytes, at most \(HandlerLimits.messageBytes) are allowed",
                    isRetryable: false)
            }
            try flag.check()
            let path = "outbox/\(attempt.id).eml"
            try WorkFolder(attempt.workDirectory).write(message, to: path, for: attempt)
            return JSONValue.object([
                .init("message_id", .string(writer.messageID)),
                .init("path", .string(path)),
                .init("bytes", .integer(Int64(message.count))),
            ]).bytes
        }
    }
}

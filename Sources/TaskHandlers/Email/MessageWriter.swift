import Foundation
import Primitives

/// Writes one message (RFC 5322 with MIME) as bytes.
///
/// Everything follows from the payload and the task's id, so that another run of the task writes the same bytes: the
/// date is the id's, the message id and the boundaries hold it. Boundaries contain `=_`, which neither base64 nor
/// quoted-printable nor a plain line that we write can begin a line with after `--`, since texts that hold them are
/// encoded.
struct MessageWriter {
    let payload: EmailPayload
    let task: TaskID

    var messageID: String { "<\(task)@\(payload.from.domain)>" }

    func bytes() -> [UInt8] {
        var headers = "Date: \(Self.date(task.createdAt))\r\n"
        headers += HeaderEncoding.mailboxes("From", [payload.from])
        for (name, list) in [
            ("Reply-To", payload.replyTo), ("To", payload.to), ("Cc", payload.cc), ("Bcc", payload.bcc),
        ] where !list.isEmpty {
            headers += HeaderEncoding.mailboxes(name, list)
        }
        // A long domain leaves no room beside the name.
        headers += "Message-ID:\(messageID.utf8.count > 65 ? "\r\n" : "") \(messageID)\r\n"
        if !payload.subject.isEmpty { headers += HeaderEncoding.unstructured("Subject", payload.subject) }
        for header in payload.headers { headers += HeaderEncoding.unstructured(header.name, header.value) }
        headers += "MIME-Version: 1.0\r\n"

        var content = body
        if !payload.attachments.isEmpty {
            content = multipart("mixed", [content] + payload.attachments.map(part))
        }
        return Array((headers + content).utf8)
    }

    /// The texts: each as a part, or both as alternatives, the better one last.
    private var body: String {
        switch (payload.text, payload.html) {
        case (let text?, let html?): multipart("alternative", [part("plain", text), part("html", html)])
        case (nil, let html?): part("html", html)
        case (let text, nil): part("plain", text ?? "")
        }
    }

    private func part(_ subtype: String, _ text: String) -> String {
        var (encoding, lines) = BodyEncoding.text(text)
        if encoding == "7bit", lines.contains("=_") {
            (encoding, lines) = ("base64", BodyEncoding.base64(Array(lines.utf8)))
        }
        return "Content-Type: text/\(subtype); charset=utf-8\r\nContent-Transfer-Encoding: \(encoding)\r\n\r\n\(lines)"
    }

    private func part(_ attachment: EmailPayload.Attachment) -> String {
        "Content-Type: \(attachment.contentType)\(HeaderEncoding.parameter("name", attachment.filename))\r\n"
            + "Content-Disposition: attachment\(HeaderEncoding.parameter("filename", attachment.filename))\r\n"
            + "Content-Transfer-Encoding: base64\r\n\r\n"
            + BodyEncoding.base64(attachment.content)
    }

    private func multipart(_ subtype: String, _ parts: [String]) -> String {
        let boundary = "=_\(subtype)_\(task)"
        let delimited = parts.map { "--\(boundary)\r\n\($0)\r\n" }.joined()
        return "Content-Type: multipart/\(subtype);\r\n boundary=\"\(boundary)\"\r\n\r\n\(delimited)--\(boundary)--\r\n"
    }

    /// `Thu, 01 Jan 1970 00:00:00 +0000`
    static func date(_ timestamp: Timestamp) -> String {
        var seconds = time_t(timestamp.milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ value: Int32) -> String { (value < 10 ? "0" : "") + String(value) }
        return
            "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + parts.tm_year) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) +0000"
    }
}

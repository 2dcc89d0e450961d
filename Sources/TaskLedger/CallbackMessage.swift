import Primitives

/// What a receiver is told of the end of a task, in the words of the HTTP API: the body of a Standard Webhooks message
/// (https://www.standardwebhooks.com), as the payload of its delivery keeps it:
///
///     {"url": "https://...", "message": {"type": "task.completed", "timestamp": "...", "data": {"id": "...", ...}}}
///
/// `message` is sent byte for byte, however often it has to be.
struct CallbackMessage {
    private var bytes: [UInt8] = []

    var payload: [UInt8] { bytes }

    /// - Parameter record: of a task that has ended.
    init(of record: TaskRecord, to url: String) {
        let spec = record.spec
        bytes += "{\"url\":".utf8
        write(url)
        bytes += ",\"message\":{\"type\":".utf8
        write("\(spec.isWorkflow ? "workflow" : "task").\(record.status.name)")
        write("timestamp", record.finishedAt)
        bytes += ",\"data\":{\"id\":".utf8
        write(record.id.description)
        write("task_type", spec.type)
        write("queue", spec.queue)
        write("status", record.status.name)
        bytes += ",\"run\":\(record.run),\"attempts\":\(record.begunAttempts)".utf8
        write("created_at", record.id.createdAt)
        if let start = record.startedAt { write("started_at", start) }
        write("finished_at", record.finishedAt)
        if let worker = record.worker { write("worker", worker.rawValue) }
        if let part = spec.workflow, part.workflow != record.id { write("workflow", part.workflow.description) }
        if !spec.metadata.isEmpty {
            bytes += ",\"metadata\":{".utf8
            for (position, label) in spec.metadata.enumerated() {
                if position > 0 { bytes.append(UInt8(ascii: ",")) }
                write(label.key)
                bytes.append(UInt8(ascii: ":"))
                write(label.value)
            }
            bytes.append(UInt8(ascii: "}"))
        }
        writeOutcome(record)
        bytes += "}}}".utf8
    }

    private mutating func writeOutcome(_ record: TaskRecord) {
        if let result = record.result {
            bytes += ",\"result_bytes\":\(result.byteCount)".utf8
            if let inline = result.inline, inline.count <= Limits.toldResultBytes {
                bytes += ",\"result\":".utf8 + inline
            }
        }
        guard record.status != .completed, let failure = record.failure else { return }
        bytes += ",\"error\":{\"type\":".utf8
        write(failure.type)
        write("message", failure.message)
        bytes += ",\"retryable\":\(failure.isRetryable)}".utf8
    }

    private mutating func write(_ name: String, _ value: String) {
        bytes += ",\"\(name)\":".utf8
        write(value)
    }

    private mutating func write(_ name: String, _ value: Timestamp?) {
        guard let value else { return }
        write(name, value.rfc3339)
    }

    private mutating func write(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<0x20: bytes += "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

import APIModel
import Foundation
import Primitives

/// What `get` prints: one field a line, without those that do not apply.
struct TaskReport {
    var task: TaskDocument

    func lines(terminal: Terminal) -> [String] {
        var fields: [(String, String)] = [
            ("id", task.id.description),
            ("status", terminal.paint(task.status, Self.colour(task.status))),
            ("type", task.taskType),
            ("queue", "\(task.queue), priority \(task.priority)"),
        ]
        if let node = task.node { fields.append(("owner", node)) }
        if let worker = task.worker {
            fields.append(("worker", worker + (task.stolenBy == nil ? "" : " (stolen)")))
        }
        var attempts = String(task.attempt)
        if task.interruptions > 0 { attempts += ", \(task.interruptions) interruptions" }
        if task.duplicatesDiscarded > 0 { attempts += ", \(task.duplicatesDiscarded) duplicates discarded" }
        fields.append(("attempt", "\(attempts) (\(task.maxRetries) retries at most)"))
        fields.append(("created", task.createdAt.rfc3339))
        if let due = task.runAt, !isFinal(task.status) { fields.append(("due", due.rfc3339)) }
        if let start = task.startedAt {
            fields.append(("started", "\(start.rfc3339) (waited \(span(task.createdAt, start)))"))
        }
        if let end = task.finishedAt {
            fields.append(("finished", end.rfc3339 + (task.startedAt.map { " (ran \(span($0, end)))" } ?? "")))
        }
        if task.isCancelRequested && !isFinal(task.status) { fields.append(("cancel", "requested")) }
        if !task.metadata.isEmpty {
            let pairs = task.metadata.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            fields.append(("metadata", pairs.joined(separator: ", ")))
        }
        if let callback = task.callback {
            let delivery = callback.taskID.map { ", by task \($0)\(callback.status.map { " (\($0))" } ?? "")" } ?? ""
            fields.append(("callback", callback.url + delivery))
        }
        if let payload = task.payload { fields.append(("payload", payload.text)) }
        if let result = task.result {
            fields.append(("result", result.text))
        } else if let bytes = task.resultBytes {
            let holders = (task.resultHolders ?? []).joined(separator: ", ")
            let fate = holders.isEmpty ? "lost with the disks that kept it" : "kept by \(holders), not to be had now"
            fields.append(("result", terminal.paint("\(bytes) bytes, \(fate)", .yellow)))
        }
        if let error = task.error {
            fields.append(
                (
                    "error",
                    terminal.paint("\(error.type): \(error.message)", .red) + (error.isRetryable ? "" : " (final)")
                ))
        }
        return fields.map { $0.0.padding(toLength: 10, withPad: " ", startingAt: 0) + $0.1 }
    }

    private func span(_ from: Timestamp, _ to: Timestamp) -> String {
        // Two nodes' clocks may differ: what looks negative is shown as nothing.
        let milliseconds = max(0, to.milliseconds - from.milliseconds)
        return milliseconds < 10_000 ? "\(milliseconds) ms" : age(Double(milliseconds) / 1000)
    }

    static func colour(_ status: String) -> Terminal.Colour? {
        switch status {
        case "completed": .green
        case "failed", "expired": .red
        case "cancelled": .grey
        case "processing": .bold
        default: nil
        }
    }
}

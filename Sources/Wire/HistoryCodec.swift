import Primitives
public import TaskLedger

// What has happened to one task before its present attempt. About 30 bytes a step, without its error.

extension ByteWriter {
    public mutating func taskHistory(_ value: TaskHistory) {
        array(value.steps) { $0.historyStep($1) }
        varint(UInt64(value.cut))
    }

    private mutating func historyStep(_ value: TaskHistory.Step) {
        switch value.kind {
        case .attemptFailed(let failure):
            uint8(1)
            taskFailure(failure)
        case .interrupted(let isBlamed):
            uint8(2)
            bool(isBlamed)
        case .ended(let status, let failure):
            uint8(3)
            uint8(status.rawValue)
            optional(failure) { $0.taskFailure($1) }
        case .retried:
            uint8(4)
        case .changed(let priority, from: let before):
            uint8(5)
            self.priority(priority)
            self.priority(before)
        case .cancelRequested:
            uint8(6)
        case .released:
            uint8(7)
        }
        timestamp(value.at)
        varint(UInt64(value.run))
        optional(value.token) { $0.token($1) }
        optional(value.node) { $0.nodeName($1) }
        optional(value.leasedAt) { $0.timestamp($1) }
        optional(value.startedAt) { $0.timestamp($1) }
        optional(value.due) { $0.instant($1) }
    }
}

extension ByteReader {
    public mutating func taskHistory() throws(WireError) -> TaskHistory {
        TaskHistory(
            steps: try array(upTo: Limits.historySteps, "history") { reader throws(WireError) in
                try reader.historyStep()
            }, cut: try counter("steps cut from a history"))
    }

    private mutating func historyStep() throws(WireError) -> TaskHistory.Step {
        let kind: TaskHistory.Step.Kind
        switch try uint8() {
        case 1: kind = .attemptFailed(try taskFailure())
        case 2: kind = .interrupted(isBlamed: try bool())
        case 3:
            guard let status = TaskStatus(rawValue: try uint8()), status.isFinal else { throw .invalid("end of a run") }
            kind = .ended(status, try optional { reader throws(WireError) in try reader.taskFailure() })
        case 4: kind = .retried
        case 5: kind = .changed(try priority(), from: try priority())
        case 6: kind = .cancelRequested
        case 7: kind = .released
        default: throw .invalid("kind of a step")
        }
        return TaskHistory.Step(
            kind: kind, at: try timestamp(), run: try counter("run"),
            token: try optional { reader throws(WireError) in try reader.attemptToken() },
            node: try optional { reader throws(WireError) in try reader.nodeName() },
            leasedAt: try optionalTimestamp(), startedAt: try optionalTimestamp(), due: try optionalInstant())
    }
}

public import Primitives
public import TaskLedger

// Tasks that wait for others. About 17 bytes a parent.

/// What a node says of tasks that another one asks after, for those that wait for them.
public enum ParentAnswer: Hashable, Sendable {
    case ended(ParentOutcome)
    /// It has not, or that is not committed. Who has asked will be told.
    case open
    /// None of the ledgers that it serves has it.
    case unknown
}

/// A task that has ended, for somebody who has asked.
public struct ParentNews: Hashable, Sendable {
    public var parent: TaskID
    public var outcome: ParentOutcome

    public init(parent: TaskID, outcome: ParentOutcome) {
        self.parent = parent
        self.outcome = outcome
    }
}

extension ByteWriter {
    mutating func dependencies(_ value: TaskDependencies) {
        array(value.parents) { $0.taskID($1) }
        guard !value.parents.isEmpty else { return }
        uint8(value.onFailure.rawValue)
        optional(value.needed) { $0.varint(UInt64($1)) }
    }

    public mutating func parentOutcome(_ value: ParentOutcome) {
        uint8(value.end.rawValue)
        optional(value.result) { $0.byteString($1) }
        varint(UInt64(value.resultBytes))
        optional(value.failure) { $0.taskFailure($1) }
    }

    mutating func parentOutcomes(_ values: [ParentOutcome?]) {
        array(values) { $0.optional($1) { $0.parentOutcome($1) } }
    }

    public mutating func parentAnswer(_ value: ParentAnswer) {
        switch value {
        case .ended(let outcome):
            uint8(1)
            parentOutcome(outcome)
        case .open: uint8(2)
        case .unknown: uint8(3)
        }
    }

    public mutating func parentNews(_ value: ParentNews) {
        taskID(value.parent)
        parentOutcome(value.outcome)
    }
}

extension ByteReader {
    mutating func dependencies() throws(WireError) -> TaskDependencies {
        let parents = try array(upTo: Limits.dependencies, "dependencies") { reader throws(WireError) in
            try reader.taskID()
        }
        guard !parents.isEmpty else { return .none }
        guard Set(parents).count == parents.count else { throw .invalid("dependencies") }
        guard let policy = TaskDependencies.FailurePolicy(rawValue: try uint8()) else {
            throw .invalid("policy of dependencies")
        }
        return TaskDependencies(
            parents: parents, onFailure: policy,
            needed: try optional { reader throws(WireError) in
                UInt16(try reader.number(upTo: UInt64(Limits.dependencies), "needed dependencies"))
            })
    }

    public mutating func parentOutcome() throws(WireError) -> ParentOutcome {
        guard let end = ParentOutcome.End(rawValue: try uint8()) else { throw .invalid("end of a parent") }
        return ParentOutcome(
            end: end,
            result: try optional { reader throws(WireError) in
                try reader.byteString(upTo: Limits.parentResultBytes, "result of a parent")
            }, resultBytes: try varint32("bytes of a parent's result"),
            failure: try optional { reader throws(WireError) in try reader.taskFailure() })
    }

    mutating func parentOutcomes() throws(WireError) -> [ParentOutcome?] {
        try array(upTo: Limits.dependencies, "ends of parents") { reader throws(WireError) in
            try reader.optional { reader throws(WireError) in try reader.parentOutcome() }
        }
    }

    public mutating func parentAnswer() throws(WireError) -> ParentAnswer {
        switch try uint8() {
        case 1: .ended(try parentOutcome())
        case 2: .open
        case 3: .unknown
        default: throw .invalid("answer about a parent")
        }
    }

    public mutating func parentNews() throws(WireError) -> ParentNews {
        ParentNews(parent: try taskID(), outcome: try parentOutcome())
    }
}

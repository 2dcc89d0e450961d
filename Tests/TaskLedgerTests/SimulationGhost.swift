import Primitives

@testable import TaskLedger

/// What an observer who sees all nodes at once remembers, to tell when a promise is broken.
struct SimulationGhost {
    struct Run {
        var node: Int
        var process: Int
        var id: NodeID
        var token: Token
    }

    struct Outcome: Equatable {
        var status: TaskStatus
        var result: TaskResult?
        var token: Token?
    }

    struct Service: Hashable {
        var ledger: LedgerID
        var term: Term
    }

    struct Grant: Hashable {
        var task: TaskID
        var token: Token
    }

    /// What any primary has committed, in order.
    var committed: [LedgerID: [LedgerEntry]] = [:]
    /// What any primary has written, and after what.
    private var written: [LedgerID: [Place: (entry: LedgerEntry, previous: Place)]] = [:]
    /// Where a primary began.
    var bases: [Service: Place] = [:]
    var servers: [Service: NodeID] = [:]
    /// Up to where each service's commits were looked at.
    var seen: [Service: UInt64] = [:]
    var requests: [UInt64: [TaskID]] = [:]
    var ledgerOf: [TaskID: LedgerID] = [:]
    /// Tasks that were answered with 202.
    var accepted: Set<TaskID> = []
    /// By run: each has an outcome of its own.
    var outcomes: [TaskID: [UInt32: Outcome]] = [:]
    /// New runs that were asked for and granted.
    var newRuns = 0
    var grants: Set<Grant> = []
    var committedLeases: Set<Grant> = []
    struct Start: Hashable {
        var task: TaskID
        var run: UInt32
    }
    /// Of tasks that may start only once in a run.
    var started: Set<Start> = []
    var running: [TaskID: [Run]] = [:]
    var runs = 0

    /// Entries that this service has committed. A sentence about what is wrong with them.
    mutating func commit(_ copy: LedgerCopy, upTo committed: UInt64, by service: Service, _ node: NodeID) -> String? {
        if let other = servers.updateValue(node, forKey: service), other != node {
            return "\(other) and \(node) both serve \(service.ledger) in term \(service.term)"
        }
        observe(copy, by: service)
        let from = seen[service] ?? 0
        // A primary that was sent a whole copy may know older entries to be committed without holding them as entries.
        guard committed > from, var place = copy.place(at: committed) else { return nil }
        seen[service] = committed
        var history: [LedgerEntry] = []
        while place.sequence > from, let written = written[service.ledger]?[place] {
            history.append(written.entry)
            place = written.previous
        }
        for entry in history.reversed() {
            let position = Int(entry.place.sequence) - 1
            let known = self.committed[service.ledger]?.count ?? 0
            if position < known {
                if let other = self.committed[service.ledger]?[position], other != entry {
                    return "\(service.ledger): \(entry.place) is committed, and so is \(other.place)"
                }
                continue
            }
            if position > known { return "\(service.ledger): \(known) entries are committed, and then \(entry.place)" }
            self.committed[service.ledger, default: []].append(entry)
            if case .leased(let id, let lease) = entry.event {
                committedLeases.insert(Grant(task: id, token: lease.token))
            }
            if let fault = Self.mistakenAttempt(entry.event) { return fault }
        }
        if committed > UInt64(self.committed[service.ledger]?.count ?? 0) {
            return "\(service.ledger): term \(service.term) committed up to \(committed), which nobody wrote"
        }
        return nil
    }

    /// Remembers what a primary has written: a place is written once.
    private mutating func observe(_ copy: LedgerCopy, by service: Service) {
        var previous = bases[service] ?? .start
        for entry in copy.recent {
            if entry.place.term == service.term, written[service.ledger]?[entry.place] == nil {
                written[service.ledger, default: [:]][entry.place] = (entry, previous)
            }
            previous = entry.place
        }
    }

    /// Handlers say under which token they ran: an outcome is that attempt's own.
    private static func mistakenAttempt(_ event: LedgerEvent) -> String? {
        switch event {
        case .failed(let id, let token, let failure, _, _), .rescheduled(let id, let token, let failure, _, _):
            failure.type != "e" || failure.message == "\(token)"
                ? nil : "\(id): the failure of \(failure.message) is taken for that of \(token)"
        case .completed(let id, let token, let result, _, _):
            result == .inline(Array("\(token)".utf8)) ? nil : "\(id): a result of another attempt than \(token)"
        default: nil
        }
    }

    mutating func granted(_ assignment: Assignment) -> String? {
        grants.insert(Grant(task: assignment.id, token: assignment.token)).inserted
            ? nil : "\(assignment.id) was granted \(assignment.token) twice"
    }

    mutating func ended(_ record: TaskRecord) -> String? {
        let outcome = Outcome(status: record.status, result: record.result, token: record.finalToken)
        guard let first = outcomes[record.id, default: [:]].updateValue(outcome, forKey: record.run),
            first != outcome
        else { return nil }
        return "\(record.id) has two outcomes: \(first) and \(outcome)"
    }
}

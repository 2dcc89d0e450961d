public import Primitives

/// Why nothing was accepted.
public enum OwnerRefusal: Error, Hashable, Sendable {
    /// More tasks, or more bytes of them, than the node may hold, or too much that its backups have not acknowledged.
    case full
    /// So many more tasks of this queue are taken here, and no more.
    case queueFull(String, room: Int)
    /// There is no room on the disk of this node.
    case diskFull
    /// This node has no ledger of its own in the current view.
    case notAnOwner
    /// It ceased to be the owner before they were committed: they may have been accepted.
    case unconfirmed([TaskID])
}

extension TaskOwner {
    /// Accepts tasks into this node's own ledger: all of them or none. `accepted(request)` follows once they are committed.
    ///
    /// If the first is a workflow, these are its tasks, and their ids are given: one entry accepts them.
    ///
    /// Acceptance is idempotent by id: what was accepted before is answered like the first time.
    ///
    /// - Parameters:
    ///   - ids: chosen by a node that forwards the tasks; nil: chosen here.
    ///   - microseconds: the wall clock, for the ids.
    public mutating func submit(
        _ specs: [TaskSpec], ids given: [TaskID]? = nil, request: UInt64, at now: Instant, microseconds: UInt64
    ) throws(OwnerRefusal) -> [TaskID] {
        guard let index = ledgers.firstIndex(where: \.isHome) else { throw .notAnOwner }
        guard fitting(specs) == specs.count, !ledgers[index].primary.isCongested else { throw .full }
        if let full = firstFull(specs) { throw .queueFull(full.queue, room: full.room) }
        if let given, specs.first?.isWorkflow == true {
            if ledgers[index].primary.state[given[0]] == nil {
                acceptTogether(
                    zip(given, specs).map { Acceptance(id: $0, spec: $1, at: now) }, in: index)
                meterArrivals(specs, at: now)
            }
            ledgers[index].primary.whenCommitted(.accepted(request: request))
            return given
        }
        var accepted: [TaskID] = []
        accepted.reserveCapacity(specs.count)
        for (position, spec) in specs.enumerated() {
            let id = given?[position] ?? ids.next(for: ledgers[index].primary.id, microseconds: microseconds)
            accepted.append(id)
            guard !ledgers[index].primary.state.has(id) else { continue }
            record(.accepted(Acceptance(id: id, spec: spec, at: now)), in: index)
            meter(spec.queue, at: now) { $0.arrivals += 1 }
        }
        ledgers[index].primary.whenCommitted(.accepted(request: request))
        return accepted
    }

    /// The ledger into which this node accepts tasks.
    public var home: LedgerID? { ledgers.first(where: \.isHome)?.primary.id }

    /// Ids for tasks that another node's ledger is to accept.
    public mutating func makeIDs(for ledger: LedgerID, count: Int, microseconds: UInt64) -> [TaskID] {
        (0..<count).map { _ in ids.next(for: ledger, microseconds: microseconds) }
    }

    /// The nodes that hold what a ledger of this node accepts.
    public func holders(of ledger: LedgerID) -> [NodeName] {
        guard let index = index(of: ledger) else { return [] }
        return [me.name] + ledgers[index].primary.backups.map(\.name)
    }

    /// The nodes that hold what was submitted, and whether these are as many as the view wants.
    public func holders() -> [NodeName] {
        guard let home = ledgers.first(where: \.isHome) else { return [] }
        return [me.name] + home.primary.backups.map(\.name)
    }
}

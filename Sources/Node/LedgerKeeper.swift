import EventLoop
import Journal
import Primitives
import TaskLedger
import Wire

/// The node's journal: writes down what happens to its ledgers, and says when that is durable.
///
/// One journal holds all ledgers of the node, owned ones and backups alike, so all of them share each sync of the disk.
/// Now and then everything is written anew, a part at a time and while the ledgers change, so that old segments can go: the
/// disk follows the live tasks, not the history.
actor LedgerKeeper {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    let journal: Journal
    private let isNew: Bool
    private var upkeep: (any ScheduledAction)?
    private var isClosed = false
    /// What of the ledgers is still to be written anew.
    private var snapshot: SnapshotWriter?

    init(_ node: NodeContext, recovered: RecoveredJournal) {
        self.node = node
        isNew = recovered.isNew
        journal = Journal(
            recovered, on: node.volume, scheduler: node.scheduler,
            settings: JournalSettings(
                sync: node.configuration.sync, segmentBytes: node.configuration.journalSegmentBytes),
            observe: { [node] event in node.colleagues.ledgers.onLoop { $0.happened(event) } })
    }

    /// Returns once the journal exists on the disk: before that, nobody may hear of the store.
    func open() async {
        if isNew {
            write([.opened])
            await withCheckedContinuation { continuation in journal.whenDurable { _ in continuation.resume() } }
        }
        lookAfter()
    }

    /// Everything that was handed over is durable when this returns, or the journal has failed.
    func close() async {
        guard !isClosed else { return }
        isClosed = true
        upkeep?.cancel()
        let isDurable = await withCheckedContinuation { continuation in
            journal.close { continuation.resume(returning: $0) }
        }
        if !isDurable { node.logger.error("the end of the journal could not be written") }
    }

    /// No room on the disk: what is new is refused, while outcomes of what runs still fit.
    var isFull: Bool { journal.isFull }
    /// More waits for the disk than should.
    var isCongested: Bool { journal.isCongested }
    var status: JournalStatus { journal.status }

    private func happened(_ event: JournalEvent) {
        switch event {
        case .failed(let error):
            // After a failed sync nobody knows what the disk holds: the process must not go on as if it knew.
            node.logger.critical("the journal cannot be written", metadata: ["error": "\(error)"])
            node.colleagues.node.stopBecause("the journal cannot be written: \(error)")
        case .full(let error):
            node.logger.error("the disk is full: new tasks are refused", metadata: ["error": "\(error)"])
        case .hasRoom:
            node.logger.info("the disk has room again")
        case .snapshotEnded(let superseded):
            node.logger.debug("snapshot written", metadata: ["superseded": "\(superseded)"])
        }
    }

    // MARK: Writing

    func write(_ records: [JournalRecord]) {
        guard !isClosed else { return }
        for record in records { append(record) }
    }

    /// `done` once all that was written so far is as durable as the settings demand; never if the journal fails before.
    func whenDurable(_ done: @escaping @Sendable () -> Void) {
        guard !isClosed else { return }
        journal.whenDurable { if $0 { done() } }
    }

    /// Nothing is larger than a record of the journal may be, whatever came in one turn.
    private func append(_ record: JournalRecord) {
        switch record {
        case .entries(let id, let target, let entries, let committed):
            for part in parts(entries, cost: \.event.cost) { put(.entries(id, target, part, committed: committed)) }
        case .copyRecords(let id, let purpose, let records):
            for part in parts(records, cost: \.cost) { put(.copyRecords(id, purpose, part)) }
        case .copyTail(let id, let purpose, let entries):
            for part in parts(entries, cost: \.event.cost) { put(.copyTail(id, purpose, part)) }
        case .copyKeys(let id, let purpose, let keys):
            for part in parts(keys, cost: \.cost) { put(.copyKeys(id, purpose, part)) }
        case .dropped(let id):
            snapshot?.dropped(id)
            put(record)
        case .seen, .copyBegins, .copyEnds, .opened:
            put(record)
        }
    }

    private func put(_ record: JournalRecord) {
        var writer = ByteWriter(now: node.now)
        writer.journalRecord(record)
        guard !journal.append(writer.bytes), journal.status.failure == nil else { return }
        // The disk has been full for so long that even what running work brings has no place to wait: memory and journal
        // would part. What was committed is on the disk.
        node.colleagues.node.stopBecause("the disk is full, and more waits for it than memory may hold")
    }

    private func parts<Element>(_ all: [Element], cost: (Element) -> Int) -> [[Element]] {
        var parts: [[Element]] = []
        var part: [Element] = []
        var size = 0
        for element in all {
            part.append(element)
            size += cost(element)
            if size >= Limits.journalPartBytes {
                parts.append(part)
                part = []
                size = 0
            }
        }
        if !part.isEmpty { parts.append(part) }
        return parts
    }

    // MARK: Snapshots

    private func lookAfter() {
        guard !isClosed else { return }
        if snapshot == nil, wantsSnapshot() { beginSnapshot() }
        upkeep = node.scheduler.schedule(after: Limits.snapshotInterval) { [self] in onLoop { $0.lookAfter() } }
    }

    private func wantsSnapshot() -> Bool {
        let replicas = node.colleagues.replicas
        let live =
            node.colleagues.queue.onLoop { $0.owner.liveCost } + replicas.onLoop { $0.liveCost }
        // A copy that a primary is sending is in old segments: it would be cut in two.
        return journal.wantsSnapshot(liveBytes: live) && !replicas.onLoop { $0.isReceiving }
    }

    private func beginSnapshot() {
        node.colleagues.queue.onLoop { $0.writeDown() }
        guard journal.beginSnapshot() else { return }
        snapshot = SnapshotWriter()
        node.logger.debug("writing a snapshot")
        goOn()
    }

    /// One part, then the next as soon as it is durable: what happens meanwhile comes in between.
    private func goOn() {
        guard !isClosed, snapshot != nil else { return }
        guard !journal.isFull else {
            // What room is left belongs to the outcomes of running work.
            snapshot = nil
            return journal.abandonSnapshot()
        }
        // The records hold all that has happened: it has to be in the journal before them.
        node.colleagues.queue.onLoop { $0.writeDown() }
        guard let part = snapshot?.next(ledgers: ledgers, bytes: Limits.journalPartBytes, copy: { copy(of: $0) }) else {
            snapshot = nil
            return journal.endSnapshot()
        }
        write(part)
        journal.whenDurable { [self] isDurable in if isDurable { onLoop { $0.goOn() } } }
    }

    private var ledgers: [LedgerID] {
        let owned = node.colleagues.queue.onLoop { $0.owner.ownedLedgers }
        return (owned + node.colleagues.replicas.onLoop { $0.ledgers }).sorted()
    }

    private func copy(of id: LedgerID) -> LedgerCopy? {
        node.colleagues.queue.onLoop { $0.owner.copy(of: id) } ?? node.colleagues.replicas.onLoop { $0.copy(of: id) }
    }
}

extension Limits {
    /// Entries or tasks of one record of the journal.
    static let journalPartBytes = 512 << 10
    /// How often it is asked whether a snapshot is due.
    static let snapshotInterval = Duration.seconds(1)
}

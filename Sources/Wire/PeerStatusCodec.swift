import Primitives
import TaskLedger
import Views

extension ByteWriter {
    public mutating func peerStatus(_ value: PeerStatus) {
        nodeID(value.node)
        uint64(value.viewNumber)
        uint64(value.viewDigest)
        loadDigest(value.load)
        varint(UInt64(value.slotCount))
        array(value.busy) { writer, slot in
            writer.varint(UInt64(slot.index))
            writer.taskID(slot.task)
            writer.string(slot.taskType)
            writer.string(slot.queue)
            writer.ledgerID(slot.ledger)
            writer.timestamp(slot.since)
        }
        array(value.taskTypes) { $0.string($1) }
        for counter in [
            value.completed, value.failed, value.duplicatesDiscarded, value.stolen, value.unwrittenResults,
        ] { varint(counter) }
        optional(value.isRegistryConnected) { $0.bool($1) }
        array(value.ledgers) { writer, ledger in
            writer.ledgerID(ledger.id)
            writer.varint(ledger.open)
        }
        array(value.queues) { writer, queue in
            writer.string(queue.name)
            writer.array(queue.counts) { $0.varint($1) }
            writer.optional(queue.oldestAge) { $0.duration($1) }
            writer.optional(queue.statistics) { writer, statistics in
                writer.varint(statistics.arrivals)
                writer.varint(statistics.completions)
                writer.array(statistics.waits.counts) { $0.varint(UInt64($1)) }
                writer.array(statistics.runs.counts) { $0.varint(UInt64($1)) }
                writer.duration(statistics.span)
            }
        }
        array(value.takeovers) { writer, takeover in
            writer.ledgerID(takeover.ledger)
            writer.varint(takeover.term.rawValue)
            writer.nodeName(takeover.from)
            writer.nodeName(takeover.to)
            writer.timestamp(takeover.at)
            writer.varint(takeover.recovered)
        }
        varint(value.disk.journalBytes)
        bool(value.disk.isFull)
        text(value.disk.sync, upTo: Limits.nameBytes)
        optional(value.disk.sinceSync) { $0.duration($1) }
        duration(value.disk.worstSync)
        bool(value.standing.mayStart)
        bool(value.standing.reachesMajority)
        optional(value.standing.unreadiness) { $0.text($1, upTo: Limits.reasonBytes) }
        for counter in [value.letters.count, value.letters.bytes, value.letters.dropped] { varint(counter) }
        optional(value.letters.oldest) { $0.timestamp($1) }
        let retention = value.retention
        for counter in [retention.outcomes, retention.outcomeBytes, retention.cut, retention.queuedBytes] {
            varint(counter)
        }
    }
}

extension ByteReader {
    public mutating func peerStatus() throws(WireError) -> PeerStatus {
        PeerStatus(
            node: try nodeID(), viewNumber: try uint64(), viewDigest: try uint64(), load: try loadDigest(),
            slotCount: try varint32("slots"),
            busy: try array(upTo: 65_536, "busy slots") { reader throws(WireError) in try reader.busySlot() },
            taskTypes: try array(upTo: 10_000, "task types") { reader throws(WireError) in
                try reader.string(upTo: Limits.nameBytes, "task type")
            }, completed: try varint(), failed: try varint(), duplicatesDiscarded: try varint(), stolen: try varint(),
            unwrittenResults: try varint(),
            isRegistryConnected: try optional { reader throws(WireError) in try reader.bool() },
            ledgers: try ledgerCounts(),
            queues: try array(upTo: Limits.reportedQueues, "queues") { reader throws(WireError) in
                try reader.queueDepth()
            },
            takeovers: try array(upTo: Limits.takeovers, "takeovers") { reader throws(WireError) in
                try reader.takeover()
            }, disk: try disk(), standing: try standing(), letters: try letters(),
            retention: PeerStatus.Retention(
                outcomes: try varint(), outcomeBytes: try varint(), cut: try varint(), queuedBytes: try varint()))
    }

    private mutating func disk() throws(WireError) -> PeerStatus.Disk {
        PeerStatus.Disk(
            journalBytes: try varint(), isFull: try bool(), sync: try string(upTo: Limits.nameBytes, "sync"),
            sinceSync: try optional { reader throws(WireError) in try reader.duration() }, worstSync: try duration())
    }

    private mutating func letters() throws(WireError) -> PeerStatus.Letters {
        var letters = PeerStatus.Letters(count: try varint(), bytes: try varint(), dropped: try varint())
        letters.oldest = try optionalTimestamp()
        return letters
    }

    private mutating func standing() throws(WireError) -> PeerStatus.Standing {
        PeerStatus.Standing(
            mayStart: try bool(), reachesMajority: try bool(),
            unreadiness: try optional { reader throws(WireError) in
                try reader.string(upTo: Limits.reasonBytes, "reason")
            })
    }

    private mutating func ledgerCounts() throws(WireError) -> [PeerStatus.Ledger] {
        try array(upTo: Limits.ledgers, "ledgers") { reader throws(WireError) in
            PeerStatus.Ledger(id: try reader.ledgerID(), open: try reader.varint())
        }
    }

    private mutating func busySlot() throws(WireError) -> PeerStatus.Slot {
        PeerStatus.Slot(
            index: try varint32("slot"), task: try taskID(), taskType: try string(upTo: Limits.nameBytes, "task type"),
            queue: try string(upTo: Limits.nameBytes, "queue"), ledger: try ledgerID(), since: try timestamp())
    }

    private mutating func queueDepth() throws(WireError) -> PeerStatus.Queue {
        let name = try string(upTo: Limits.nameBytes, "queue")
        let counts = try array(upTo: TaskStatus.allCases.count, "depth") { reader throws(WireError) in
            try reader.varint()
        }
        guard counts.count == TaskStatus.allCases.count else { throw .invalid("depth") }
        return PeerStatus.Queue(
            name: name, counts: counts, oldestAge: try optional { (reader) throws(WireError) in try reader.duration() },
            statistics: try optional { (reader) throws(WireError) in try reader.queueStatistics() })
    }

    private mutating func queueStatistics() throws(WireError) -> QueueStatistics {
        var statistics = QueueStatistics()
        statistics.arrivals = try number(upTo: Limits.counted, "arrivals")
        statistics.completions = try number(upTo: Limits.counted, "completions")
        statistics.waits = try durationSketch()
        statistics.runs = try durationSketch()
        statistics.span = try duration()
        return statistics
    }

    private mutating func durationSketch() throws(WireError) -> DurationSketch {
        let counts = try array(upTo: DurationSketch.bucketCount, "durations") { (reader) throws(WireError) in
            try reader.varint32("durations")
        }
        guard let sketch = DurationSketch(counts: counts) else { throw .invalid("durations") }
        return sketch
    }

    private mutating func takeover() throws(WireError) -> PeerStatus.Takeover {
        PeerStatus.Takeover(
            ledger: try ledgerID(), term: Term(try varint()), from: try nodeName(), to: try nodeName(),
            at: try timestamp(), recovered: try varint())
    }
}

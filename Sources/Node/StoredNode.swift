package import EventLoop
package import Journal
package import Logging
package import Primitives
package import TaskLedger
package import Views
import Wire

/// What a node finds in its folder when it starts, and what it writes there before anything else.
///
/// | file | what |
/// | --- | --- |
/// | `lock` | held by the process that uses the folder |
/// | `node` | whose folder it is: format, cluster, name, the identities of the disk (who votes) and of the store (who holds copies) |
/// | `view` | the voter's record: generation, last view, promise, accepted view; checksummed |
/// | `journal-...` | the ledgers: see `Journal` |
/// | `result-...` | large results: see `ResultStore` |
///
/// A folder without `node` is a new one. One with `node` whose `view` is missing or damaged is refused: a voter that has
/// forgotten its promises must not vote under the same identity. A journal that was set aside leaves its store's identity
/// invalid: the node goes on with a new one, so that nobody counts on copies that are not there.
package struct StoredNode: Sendable {
    package static let identityFile = "node"
    package static let viewFile = "view"

    package let disk: StoreID
    package let store: StoreID
    /// With the generation of this start.
    package let record: VoterRecord
    /// The copies that the journal holds.
    package let ledgers: [LedgerCopy]
    let journal: RecoveredJournal
    /// The names of files with results.
    let results: [String]

    /// Reads the folder, makes what is missing, and writes down the generation of this start. Blocks.
    ///
    /// - Throws: `StoredNodeError`, `JournalRefusal`, `VoterRecordError` or `SystemError`: what is wrong, and what to do.
    package init(
        _ configuration: NodeConfiguration, volume: any Volume, on scheduler: any Scheduler, seed: UInt64,
        logger: Logger
    ) throws {
        var random = SeededGenerator(seed: seed)
        var identity: DiskIdentity
        var record: VoterRecord
        if let bytes = try volume.read(Self.identityFile, upTo: 4096) {
            identity = try DiskIdentity(bytes)
            guard identity.name == configuration.name else {
                throw StoredNodeError(
                    "the folder belongs to the node \(identity.name), and this one is \(configuration.name): start it "
                        + "with --name \(identity.name), or with a folder of its own")
            }
            guard identity.cluster == configuration.cluster else {
                throw StoredNodeError(
                    "the folder belongs to the cluster \(identity.cluster), and this node is of "
                        + "\(configuration.cluster): start it with --cluster \(identity.cluster), or with a folder of its own"
                )
            }
            guard let view = try volume.read(Self.viewFile, upTo: Limits.frameBytes) else {
                throw StoredNodeError(
                    "the file `view` is missing, though the folder has been used before: restore it, or start with an "
                        + "empty folder as a new node (its copies and its vote are lost)")
            }
            record = try VoterRecord(fileBytes: view)
        } else {
            identity = DiskIdentity(
                name: configuration.name, cluster: configuration.cluster, disk: StoreID(random.next()),
                store: StoreID(random.next()))
            record = VoterRecord(generation: Generation(0))
        }
        #if PLANTED_BUGS
        let before = record.generation
        if PlantedBug.isActive(.viewForgotten) { record = VoterRecord(generation: before) }
        #endif
        record.generation = record.nextGeneration(
            millisecondsSince1970: scheduler.microsecondsSince1970 / 1000)

        #if PLANTED_BUGS
        if PlantedBug.isActive(.generationFromClock) {
            record.generation = Generation(scheduler.microsecondsSince1970 / 1000)
        }
        #endif
        var stored = StoredLedgers()
        let now = scheduler.now
        let wallClock = scheduler.microsecondsSince1970
        func recover() throws -> RecoveredJournal {
            let owner = StoreHolder(name: configuration.name, store: identity.store)
            return try Journal.recover(volume, identity: owner) { item in
                switch item {
                case .snapshotBegan: stored.snapshotBegan()
                case .snapshotEnded: stored.snapshotEnded()
                case .record(let bytes, let writtenAt, let position):
                    // Ages were measured when it was written: this is that moment on the clock of this process.
                    let age = Int64(clamping: wallClock).subtractingReportingOverflow(Int64(clamping: writtenAt))
                    do {
                        var reader = ByteReader(bytes, now: now - .microseconds(max(0, age.partialValue)))
                        let record = try reader.journalRecord()
                        try reader.finish()
                        try stored.apply(record)
                    } catch {
                        throw StoredNodeError(
                            "the journal's record at \(position) makes no sense (\(error)): `apus journal inspect` "
                                + "shows the journal, `apus journal repair` sets it aside")
                    }
                }
            }
        }
        var recovered = try recover()
        if recovered.isNew, record.view != nil {
            // It has been a member, and its journal was set aside or is lost: copies that are counted on under the old
            // identity are not here.
            #if PLANTED_BUGS
            let lost = identity.store
            #endif
            identity.store = StoreID(random.next())
            try Journal.clear(volume, recovered)
            #if PLANTED_BUGS
            if PlantedBug.isActive(.newJournalOldStore) { identity.store = lost }
            #endif
            recovered = try recover()
            logger.warning("the journal is new: what this node held has to come from its peers")
        }
        if let cut = recovered.cut { logger.notice("an unfinished write was cut", metadata: ["journal": "\(cut)"]) }
        if !stored.copies.isEmpty {
            logger.info(
                "ledgers read from the journal",
                metadata: [
                    "records": "\(recovered.records)",
                    "ledgers": "\(stored.copies.map { "\($0.id) to \($0.last), \($0.state.tasks.count) tasks" })",
                ])
        }
        // First the record, then the identity that vouches for it.
        try volume.replaceNow(Self.viewFile, with: record.fileBytes())
        try volume.replaceNow(Self.identityFile, with: identity.fileBytes())
        disk = identity.disk
        store = identity.store
        self.record = record
        ledgers = stored.copies
        journal = recovered
        let files = try volume.list()
        try volume.performNow(files.filter(ResultFile.isLeftOver).map { .remove($0) })
        results = files
    }
}

/// A folder that this node cannot use as it is.
package struct StoredNodeError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// The file `node`: lines of a word and a value. Written once, and again when the store gets a new identity.
struct DiskIdentity: Hashable, Sendable {
    static let format = 1

    var name: NodeName
    var cluster: String
    var disk: StoreID
    var store: StoreID

    init(name: NodeName, cluster: String, disk: StoreID, store: StoreID) {
        self.name = name
        self.cluster = cluster
        self.disk = disk
        self.store = store
    }

    func fileBytes() -> [UInt8] {
        Array("apus \(Self.format)\nname \(name)\ncluster \(cluster)\ndisk \(disk)\nstore \(store)\n".utf8)
    }

    init(_ bytes: [UInt8]) throws(StoredNodeError) {
        var values: [Substring: Substring] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            guard let blank = line.firstIndex(of: " ") else { continue }
            values[line[..<blank]] = line[line.index(after: blank)...]
        }
        guard let format = values["apus"].flatMap({ Int($0) }) else {
            throw StoredNodeError("the file `node` of the data folder is not one of Apus: use another folder")
        }
        guard format <= Self.format else {
            throw StoredNodeError(
                "the data folder has format \(format), and this program knows formats up to \(Self.format): use a newer one"
            )
        }
        guard let name = values["name"].flatMap({ NodeName(String($0)) }), let cluster = values["cluster"],
            let disk = values["disk"].flatMap({ UInt64($0, radix: 16) }),
            let store = values["store"].flatMap({ UInt64($0, radix: 16) })
        else {
            throw StoredNodeError(
                "the file `node` of the data folder is damaged: restore it, or start with an empty folder as a new node"
            )
        }
        self.init(name: name, cluster: String(cluster), disk: StoreID(disk), store: StoreID(store))
    }
}

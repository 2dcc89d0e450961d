public import Primitives
import Service

/// One member in the answer of `GET /api/cluster`.
public struct MemberDocument: Hashable, Sendable, Decodable {
    public struct Load: Hashable, Sendable, Decodable {
        /// Tasks that could start now.
        public var ready: UInt32
        /// Tasks without an outcome.
        public var open: UInt32
        /// Priority of the task that would start next; 0 if none.
        public var headPriority: Int
        public var oldestAgeSeconds: Double
        public var freeSlots: Int
        public var isDraining: Bool

        enum CodingKeys: String, CodingKey {
            case ready, open
            case headPriority = "head_priority"
            case oldestAgeSeconds = "oldest_age_seconds"
            case freeSlots = "free_slots"
            case isDraining = "draining"
        }
    }

    public struct View: Hashable, Sendable, Decodable {
        public var number: UInt64?
        public var digest: String?
    }

    /// Its link to the registry.
    public struct Registry: Hashable, Sendable, Decodable {
        /// Nil: unknown, or no registry.
        public var isConnected: Bool?
        /// Outcomes that wait for it.
        public var unwrittenResults: UInt64?

        enum CodingKeys: String, CodingKey {
            case isConnected = "connected"
            case unwrittenResults = "unwritten_results"
        }
    }

    /// Its journal, and the disk that it is on.
    public struct Disk: Hashable, Sendable, Decodable {
        public var journalBytes: UInt64
        /// No room: it takes no new tasks.
        public var isFull: Bool
        /// `always`, `interval:100ms` or `never`.
        public var sync: String
        /// Since the last sync ended; nil before the first of its process.
        public var lastSyncAgeSeconds: Double?
        /// The longest that its process has seen.
        public var worstSyncSeconds: Double

        enum CodingKeys: String, CodingKey {
            case sync
            case journalBytes = "journal_bytes"
            case isFull = "full"
            case lastSyncAgeSeconds = "last_sync_age_seconds"
            case worstSyncSeconds = "worst_sync_seconds"
        }
    }

    public var name: String
    /// `alive`, `suspect`, `dead`, `left`, `joining` or `absent`.
    public var state: String
    public var since: Timestamp
    public var generation: UInt64
    public var incarnation: UInt32
    /// `host:port`
    public var http: String
    public var peer: String
    public var gossip: String
    public var slots: Int
    /// Nil if the member did not answer; so are the counts below.
    public var busy: Int?
    public var load: Load
    /// Outcomes recorded since its process began.
    public var completed: UInt64?
    public var failed: UInt64?
    public var duplicatesDiscarded: UInt64?
    /// Tasks of other owners that it has run.
    public var stolen: UInt64?
    /// What it has installed.
    public var view: View
    public var isVoter: Bool
    /// Age of what is told about it.
    public var dataAgeSeconds: Double
    public var registry: Registry
    /// Nil if the member did not answer; so is what follows.
    public var disk: Disk?
    /// Whether it may start tasks: a majority of the voters has just let it.
    public var mayStart: Bool?
    public var reachesMajority: Bool?
    /// Why it takes no submissions; nil if it does, too.
    public var unready: String?

    enum CodingKeys: String, CodingKey {
        case name, state, since, generation, incarnation, http, peer, gossip, slots, busy, load, completed, failed,
            stolen
        case view, registry, disk, unready
        case mayStart = "may_start"
        case reachesMajority = "reaches_majority"
        case duplicatesDiscarded = "duplicates_discarded"
        case isVoter = "voter"
        case dataAgeSeconds = "data_age_seconds"
    }

    init(_ member: ClusterReport.MemberReport) {
        name = member.name.rawValue
        state = member.state.rawValue
        since = member.since
        generation = member.generation.rawValue
        incarnation = member.incarnation.rawValue
        http = member.profile.http.description
        peer = member.profile.peer.description
        gossip = member.profile.gossip.description
        slots = Int(member.profile.slots)
        busy = member.busySlots
        load = Load(member.load)
        completed = member.completed
        failed = member.failed
        duplicatesDiscarded = member.duplicatesDiscarded
        stolen = member.stolen
        view = View(number: member.viewNumber, digest: member.viewDigest.map(digest))
        isVoter = member.isVoter
        dataAgeSeconds = Double(member.dataAge.milliseconds) / 1000
        registry = Registry(isConnected: member.isRegistryConnected, unwrittenResults: member.unwrittenResults)
        disk = member.disk.map(Disk.init)
        mayStart = member.mayStart
        reachesMajority = member.reachesMajority
        unready = member.unreadiness
    }
}

extension MemberDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            object.put(.state, state)
            object.put(.since, since)
            object.put(.generation, generation)
            object.put(.incarnation, incarnation)
            object.put(.http, http)
            object.put(.peer, peer)
            object.put(.gossip, gossip)
            object.put(.slots, slots)
            object.put(.busy, busy)
            object.put(.load, load)
            object.put(.completed, completed)
            object.put(.failed, failed)
            object.put(.duplicatesDiscarded, duplicatesDiscarded)
            object.put(.stolen, stolen)
            object.put(.view, view)
            object.put(.isVoter, isVoter)
            object.put(.dataAgeSeconds, dataAgeSeconds)
            object.put(.registry, registry)
            object.put(.disk, disk)
            object.put(.mayStart, mayStart)
            object.put(.reachesMajority, reachesMajority)
            object.put(.unready, unready)
        }
    }
}

extension MemberDocument.Load: JSONWritable {
    init(_ load: LoadDigest) {
        ready = load.ready
        open = load.open
        headPriority = Int(load.headPriority)
        oldestAgeSeconds = Double(load.oldestAge) / 10
        freeSlots = Int(load.freeSlots)
        isDraining = load.isDraining
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.ready, ready)
            object.put(.open, open)
            object.put(.headPriority, headPriority)
            object.put(.oldestAgeSeconds, oldestAgeSeconds)
            object.put(.freeSlots, freeSlots)
            object.put(.isDraining, isDraining)
        }
    }
}

extension MemberDocument.View: JSONWritable {
    private enum CodingKeys: String, CodingKey { case number, digest }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.number, number)
            object.put(.digest, digest)
        }
    }
}

extension MemberDocument.Registry: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.isConnected, isConnected)
            object.put(.unwrittenResults, unwrittenResults)
        }
    }
}

extension MemberDocument.Disk: JSONWritable {
    init(_ disk: ClusterReport.Disk) {
        journalBytes = disk.journalBytes
        isFull = disk.isFull
        sync = disk.sync
        lastSyncAgeSeconds = disk.sinceSync.map { Double($0.milliseconds) / 1000 }
        worstSyncSeconds = Double(disk.worstSync.nanoseconds / 1000) / 1_000_000
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.journalBytes, journalBytes)
            object.put(.isFull, isFull)
            object.put(.sync, sync)
            object.put(.lastSyncAgeSeconds, lastSyncAgeSeconds)
            object.put(.worstSyncSeconds, worstSyncSeconds)
        }
    }
}

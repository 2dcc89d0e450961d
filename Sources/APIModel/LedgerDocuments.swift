public import Primitives
import Service

/// One ledger in the answer of `GET /api/cluster`.
public struct LedgerDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var id: UInt32
    public var term: UInt64
    public var primary: String
    public var backups: [String]
    /// The node that it was made for: its tasks were submitted there.
    public var founder: String
    /// False: its tasks answer 503.
    public var isAvailable: Bool
    public var isFullyReplicated: Bool
    /// Tasks without an outcome; nil if the primary did not answer.
    public var openTasks: UInt64?

    enum CodingKeys: String, CodingKey {
        case id, term, primary, backups, founder
        case isAvailable = "available"
        case isFullyReplicated = "fully_replicated"
        case openTasks = "open_tasks"
    }

    init(_ ledger: ClusterReport.LedgerReport) {
        id = ledger.id.rawValue
        term = ledger.term.rawValue
        primary = ledger.primary.rawValue
        backups = ledger.backups.map(\.rawValue)
        founder = ledger.founder.rawValue
        isAvailable = ledger.isAvailable
        isFullyReplicated = ledger.isFullyReplicated
        openTasks = ledger.openTasks
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.term, term)
            object.put(.primary, primary)
            object.put(.backups, backups)
            object.put(.founder, founder)
            object.put(.isAvailable, isAvailable)
            object.put(.isFullyReplicated, isFullyReplicated)
            object.put(.openTasks, openTasks)
        }
    }
}

/// A ledger that got a new primary since its old one was gone.
public struct TakeoverDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var ledger: UInt32
    public var term: UInt64
    public var from: String
    public var to: String
    public var at: Timestamp
    /// Tasks without an outcome that the new primary found in its copy.
    public var recovered: UInt64

    enum CodingKeys: String, CodingKey { case ledger, term, from, to, at, recovered }

    init(_ takeover: ClusterReport.Takeover) {
        ledger = takeover.ledger.rawValue
        term = takeover.term.rawValue
        from = takeover.from.rawValue
        to = takeover.to.rawValue
        at = takeover.at
        recovered = takeover.recovered
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.ledger, ledger)
            object.put(.term, term)
            object.put(.from, from)
            object.put(.to, to)
            object.put(.at, at)
            object.put(.recovered, recovered)
        }
    }
}

/// A ledger of which no copy is left.
public struct LossDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var ledger: UInt32
    public var primary: String
    /// Number of the view that gave it up.
    public var view: UInt64
    /// Open tasks as last heard of; nil if nobody knows.
    public var tasks: UInt64?

    enum CodingKeys: String, CodingKey { case ledger, primary, view, tasks }

    init(_ loss: ClusterReport.Loss) {
        ledger = loss.ledger.rawValue
        primary = loss.primary.rawValue
        view = loss.view
        tasks = loss.tasks
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.ledger, ledger)
            object.put(.primary, primary)
            object.put(.view, view)
            object.put(.tasks, tasks)
        }
    }
}

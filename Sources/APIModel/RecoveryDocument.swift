import Primitives
public import Service

/// Answer of `GET /api/cluster/recovery` and `POST /api/cluster/recover`: what is missing of the cluster.
public struct RecoveryDocument: Hashable, Sendable, Decodable {
    public struct Ledger: Hashable, Sendable, Decodable {
        public var id: UInt32
        /// The node that it was made for: its tasks were submitted there.
        public var founder: String
        public var primary: String
        /// Everybody whose copy counts.
        public var replicas: [String]
        /// Of those, who is there with that copy.
        public var living: [String]
    }

    public struct MissingVoter: Hashable, Sendable, Decodable {
        public var name: String
        /// The node is there, but not the disk that voted.
        public var hasOtherDisk: Bool

        enum CodingKeys: String, CodingKey {
            case name
            case hasOtherDisk = "other_disk"
        }
    }

    /// False: a majority is there, the cluster decides by itself, and `recover` is refused.
    public var isNeeded: Bool
    public var answeredBy: String
    /// Number of the view that things are missing of.
    public var view: UInt64
    public var voters: Int
    /// How many voters have to be there for the cluster to decide by itself.
    public var majority: Int
    public var missingVoters: [MissingVoter]
    /// Given up by `recover`: no copy that counts is there.
    public var lostLedgers: [Ledger]
    public var keptLedgers: [Ledger]
    /// Number of the view that was forced; nil: none was.
    public var forcedView: UInt64?

    enum CodingKeys: String, CodingKey {
        case view, voters, majority
        case isNeeded = "needed"
        case answeredBy = "answered_by"
        case missingVoters = "missing_voters"
        case lostLedgers = "lost_ledgers"
        case keptLedgers = "kept_ledgers"
        case forcedView = "forced_view"
    }

    public init(_ report: RecoveryReport, forcedView: UInt64? = nil) {
        isNeeded = report.isNeeded
        answeredBy = report.answeredBy.rawValue
        view = report.viewNumber
        voters = report.voters
        majority = report.majority
        missingVoters = report.missingVoters.map { MissingVoter(name: $0.name.rawValue, hasOtherDisk: $0.hasOtherDisk) }
        lostLedgers = report.lostLedgers.map(Ledger.init)
        keptLedgers = report.keptLedgers.map(Ledger.init)
        self.forcedView = forcedView
    }
}

extension RecoveryDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.isNeeded, isNeeded)
            object.put(.answeredBy, answeredBy)
            object.put(.view, view)
            object.put(.voters, voters)
            object.put(.majority, majority)
            object.put(.missingVoters, missingVoters)
            object.put(.lostLedgers, lostLedgers)
            object.put(.keptLedgers, keptLedgers)
            object.put(.forcedView, forcedView)
        }
    }
}

extension RecoveryDocument.MissingVoter: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.name, name)
            object.put(.hasOtherDisk, hasOtherDisk)
        }
    }
}

extension RecoveryDocument.Ledger: JSONWritable {
    private enum CodingKeys: String, CodingKey { case id, founder, primary, replicas, living }

    init(_ ledger: RecoveryReport.Ledger) {
        id = ledger.id.rawValue
        founder = ledger.founder.rawValue
        primary = ledger.primary.rawValue
        replicas = ledger.replicas.map(\.rawValue)
        living = ledger.living.map(\.rawValue)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.id, id)
            object.put(.founder, founder)
            object.put(.primary, primary)
            object.put(.replicas, replicas)
            object.put(.living, living)
        }
    }
}

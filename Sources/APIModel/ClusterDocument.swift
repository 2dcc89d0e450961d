import Primitives
public import Service

/// Answer of `GET /api/cluster`: the cluster as one node sees it, with what the others say of themselves.
public struct ClusterDocument: Hashable, Sendable, Decodable {
    public struct View: Hashable, Sendable, Decodable {
        public var number: UInt64
        /// 16 hexadecimal digits; equal for equal views.
        public var digest: String
        /// False: two living members have different views at this moment.
        public var agree: Bool
        public var voters: [String]
        /// Copies of each task that the cluster's setting asks for.
        public var copies: Int
    }

    /// `healthy` or `degraded`.
    public var status: String
    public var name: String
    /// 32 hexadecimal digits; nil until the cluster is founded.
    public var id: String?
    public var answeredBy: String
    public var view: View
    /// Ascending by name: members, those that are gone, and those about to join.
    public var members: [MemberDocument]
    public var ledgers: [LedgerDocument]
    public var takeovers: [TakeoverDocument]
    /// Tasks that takeovers found in copies.
    public var recovered: UInt64
    /// Tasks that are gone with all their copies; nil if nobody knows how many.
    public var lost: UInt64?
    public var losses: [LossDocument]
    /// Of the nodes that answer.
    public var deadLetters: LettersDocument
    public var outcomes: OutcomesDocument
    /// About how many bytes of open tasks the nodes hold, and of outcomes that the registry lacks.
    public var queuedBytes: UInt64
    /// What a user should know or do.
    public var warnings: [String]

    public var isHealthy: Bool { status == "healthy" }

    public init(_ report: ClusterReport) {
        status = Self.isHealthy(report) ? "healthy" : "degraded"
        name = report.name
        id = report.id?.description
        answeredBy = report.answeredBy.rawValue
        view = View(
            number: report.viewNumber, digest: digest(report.viewDigest), agree: report.viewsAgree,
            voters: report.voters.map(\.rawValue), copies: report.copies)
        members = report.members.map(MemberDocument.init)
        ledgers = report.ledgers.map(LedgerDocument.init)
        takeovers = report.takeovers.map(TakeoverDocument.init)
        losses = report.losses.map(LossDocument.init)
        deadLetters = LettersDocument(report.letters)
        outcomes = OutcomesDocument(report.outcomes)
        queuedBytes = report.queuedBytes
        recovered = sum(report.takeovers.map(\.recovered))
        let lostTasks = report.losses.compactMap(\.tasks)
        lost = lostTasks.count == report.losses.count ? sum(lostTasks) : nil
        warnings = report.warnings
    }

    /// Nothing needs attention: all members alive (or gone as announced), of one view, every ledger available with all its
    /// copies, no warning. A loss of the past is told by `lost`, not by the status: else it would never be healthy again.
    static func isHealthy(_ report: ClusterReport) -> Bool {
        report.viewsAgree && report.warnings.isEmpty
            && report.ledgers.allSatisfy { $0.isAvailable && $0.isFullyReplicated }
            && report.members.allSatisfy { ![.suspect, .dead, .absent].contains($0.state) }
    }
}

extension ClusterDocument: JSONWritable {
    enum CodingKeys: String, CodingKey {
        case status, name, id, view, members, ledgers, takeovers, recovered, lost, losses, warnings
        case answeredBy = "answered_by"
        case deadLetters = "dead_letters"
        case outcomes
        case queuedBytes = "queued_bytes"
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.status, status)
            object.put(.name, name)
            object.put(.id, id)
            object.put(.answeredBy, answeredBy)
            object.put(.view, view)
            object.put(.members, members)
            object.put(.ledgers, ledgers)
            object.put(.takeovers, takeovers)
            object.put(.recovered, recovered)
            object.put(.lost, lost)
            object.put(.losses, losses)
            object.put(.deadLetters, deadLetters)
            object.put(.outcomes, outcomes)
            object.put(.queuedBytes, queuedBytes)
            object.put(.warnings, warnings)
        }
    }
}

extension ClusterDocument.View: JSONWritable {
    private enum CodingKeys: String, CodingKey { case number, digest, agree, voters, copies }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.number, number)
            object.put(.digest, digest)
            object.put(.agree, agree)
            object.put(.voters, voters)
            object.put(.copies, copies)
        }
    }
}

/// A view's digest: not a number in JSON, since 64 bits do not survive the doubles of many readers.
func digest(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}

/// Saturates: the summands come from peers.
private func sum(_ values: [UInt64]) -> UInt64 {
    values.reduce(0) { total, value in
        let (sum, overflow) = total.addingReportingOverflow(value)
        return overflow ? .max : sum
    }
}

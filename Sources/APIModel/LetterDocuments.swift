public import Primitives
public import Service

/// Answer of `POST /api/dead-letters/retry` and `/purge`.
public struct SweepDocument: Hashable, Sendable, Decodable, JSONWritable {
    /// `retried` or `purged`: what was done to them.
    public var action: String
    public var count: Int
    /// Others that fit the filter, for which there is no room now.
    public var left: Int
    /// Nodes that did not answer: some of their dead letters may have been dealt with.
    public var missing: [String]

    enum CodingKeys: String, CodingKey { case action, count, left, missing }

    public init(_ outcome: SweepOutcome, isPurge: Bool) {
        action = isPurge ? "purged" : "retried"
        count = outcome.done
        left = outcome.left
        missing = outcome.missing.map(\.rawValue)
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.action, action)
            object.put(.count, count)
            object.put(.left, left)
            object.put(.missing, missing)
        }
    }
}

/// The dead letters of a node, or of the cluster.
public struct LettersDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var count: UInt64
    /// About how many bytes they take.
    public var bytes: UInt64
    /// When the oldest one failed.
    public var oldest: Timestamp?
    /// Given up since their nodes' processes began, since there were too many, or they were too old.
    public var dropped: UInt64

    enum CodingKeys: String, CodingKey { case count, bytes, oldest, dropped }

    init(_ letters: ClusterReport.Letters) {
        count = letters.count
        bytes = letters.bytes
        oldest = letters.oldest
        dropped = letters.dropped
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.count, count)
            object.put(.bytes, bytes)
            object.put(.oldest, oldest)
            object.put(.dropped, dropped)
        }
    }
}

/// What has ended and is kept in the ledgers of the nodes, but for dead letters.
public struct OutcomesDocument: Hashable, Sendable, Decodable, JSONWritable {
    public var count: UInt64
    /// About how many bytes they take.
    public var bytes: UInt64
    /// Given up before their `result_ttl` since there were too many, though no registry has them, since their nodes'
    /// processes began.
    public var cut: UInt64

    enum CodingKeys: String, CodingKey { case count, bytes, cut }

    init(_ outcomes: ClusterReport.Outcomes) {
        count = outcomes.count
        bytes = outcomes.bytes
        cut = outcomes.cut
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.count, count)
            object.put(.bytes, bytes)
            object.put(.cut, cut)
        }
    }
}

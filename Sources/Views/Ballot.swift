public import Primitives

/// Numbers an attempt to decide a view. Unique: rounds rise within a process, and no two processes share name and
/// generation. A restarted proposer needs no memory of its rounds: its generation is greater.
public struct Ballot: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var round: UInt64
    public var generation: Generation
    public var name: NodeName

    public init(round: UInt64, generation: Generation, name: NodeName) {
        self.round = round
        self.generation = generation
        self.name = name
    }

    public static func < (a: Ballot, b: Ballot) -> Bool {
        (a.round, a.generation, a.name) < (b.round, b.generation, b.name)
    }
    public var description: String { "\(round).\(generation).\(name)" }
}

/// What a voter has accepted, and in which ballot.
public struct AcceptedView: Hashable, Sendable {
    public var ballot: Ballot
    public var view: View

    public init(ballot: Ballot, view: View) {
        self.ballot = ballot
        self.view = view
    }
}

/// What a node knows about views across restarts: the file `view` of its data directory.
public struct VoterRecord: Hashable, Sendable {
    /// Of the process that wrote it.
    public var generation: Generation
    /// The newest one installed.
    public var view: View?
    /// Ballots below it are refused. It and `accepted` are about the view after `view`.
    public var promised: Ballot?
    public var accepted: AcceptedView?

    public init(
        generation: Generation, view: View? = nil, promised: Ballot? = nil, accepted: AcceptedView? = nil
    ) {
        self.generation = generation
        self.view = view
        self.promised = promised
        self.accepted = accepted
    }

    /// The generation of the process that starts now: later than any before, also when the wall clock was set back. It has
    /// to be written and synced before the process says anything.
    public func nextGeneration(millisecondsSince1970: UInt64) -> Generation {
        Generation(max(generation.rawValue &+ 1, millisecondsSince1970))
    }
}

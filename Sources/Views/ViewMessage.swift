public import Primitives

/// What nodes tell each other to agree on a view: one-way, each may be lost, late, repeated or reordered.
public struct ViewMessage: Hashable, Sendable {
    /// Who speaks. Votes count by name *and* disk, whatever the generation: a restarted voter with its disk votes at
    /// once, one whose disk was wiped does not.
    public struct Sender: Hashable, Sendable {
        public var id: NodeID
        public var disk: StoreID
        /// Where answers go: a joining or restarted node is not where the view says.
        public var address: Address

        public init(id: NodeID, disk: StoreID, address: Address) {
            self.id = id
            self.disk = disk
            self.address = address
        }

        public var voter: StoreHolder { StoreHolder(name: id.name, store: disk) }
    }

    public enum Body: Hashable, Sendable {
        /// Paxos, phase 1: promise to refuse lower ballots, and tell what you have accepted.
        case prepare(Ballot)
        case promise(Ballot, accepted: AcceptedView?)
        /// Paxos, phase 2: accept this view.
        case propose(Ballot, View)
        case accepted(Ballot)
        /// The first ballot came too late: the second was promised.
        case refuse(Ballot, promised: Ballot)
        /// The view `number` is this one.
        case decided(View)
        /// "I know view `number`: send me a later one, or say that you know of none."
        case wantView
        /// Answers the `wantView` of that generation: "I know none later than yours, mine is `number`." `isRunning`:
        /// and I am not one that waits after a cold start.
        case current(asked: Generation, isRunning: Bool)
    }

    /// Nil: the sender is a member of nothing yet.
    public var cluster: ClusterID?
    public var sender: Sender
    /// The view that the message is about: the one to decide, or the one that is known (0: none). A forced view has a
    /// higher number than the one that it is decided in place of.
    public var number: UInt64
    public var body: Body

    public init(cluster: ClusterID?, sender: Sender, number: UInt64, body: Body) {
        self.cluster = cluster
        self.sender = sender
        self.number = number
        self.body = body
    }
}

extension ViewMessage.Body {
    /// For the log: without the views.
    public var brief: String {
        switch self {
        case .prepare(let ballot): "prepare \(ballot)"
        case .promise(let ballot, let accepted): "promise \(ballot), \(accepted == nil ? "free" : "bound")"
        case .propose(let ballot, _): "propose \(ballot)"
        case .accepted(let ballot): "accepted \(ballot)"
        case .refuse(let ballot, let promised): "refuse \(ballot), promised \(promised)"
        case .decided(let view): "decided \(view.number)"
        case .wantView: "want view"
        case .current(_, let isRunning): "current, \(isRunning ? "running" : "cold")"
        }
    }
}

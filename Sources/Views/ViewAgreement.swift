public import Primitives

/// Agreement on the view (rule R1): single-decree Paxos (Lamport, "Paxos Made Simple", 2001), one instance a view
/// number.
///
/// View n + 1 is chosen among the voters of view n. A node is acceptor (`ViewAgreement+Acceptor`), proposer
/// (`+Proposer`) and learner (`+Learner`) at once; who is not a voter only learns. What the view should contain is not
/// decided here: `ViewPlanner` computes it, the wrapper passes it in as `.desired`, and what becomes the view is
/// whatever Paxos chooses, possibly a proposal that is stale by then.
///
/// - **Durability.** `record` changes in memory at once, and `.persist` asks to have it on disk. Whatever rests on it
///   (votes, `.install`) is held back until `.persisted` comes for that ticket or a later one. Tickets ascend; several
///   writes may be in flight, but an older record must never replace a newer one on disk. A voter counts its own vote
///   in the same way.
/// - **Identity.** Votes count by name and disk, whatever the generation. A wiped disk neither proposes, votes nor
///   counts until a view names it.
/// - **Who proposes.** With a wish at hand, the living voter of rank r (by name) begins a ballot after r steps, unless
///   a view is decided before; who votes for somebody else's ballot first gives that one time. Ballots that fail back
///   off exponentially with jitter. A voter that has accepted a view which nobody decides ends up proposing it, without
///   a wish of its own.
/// - **Late nodes.** A request about an older view is answered with the newer one; news of a newer view makes a node
///   fetch it. Any later view is installed, also one that is obsolete by now.
/// - **Restart.** `isConfirmed` is false until a majority of the voters of the node's last view have told *this
///   process* that they know no later one, or a view was installed that lists this generation. Until then the node must
///   run nothing. It votes at once all the same. If none of those who answered was running, the cluster was down
///   (`isCold`): then its own wishes wait until all voters of the view are there, or `Settings.coldStart` has passed,
///   so that the longest ledgers win and nobody is given up who is only slow to start.
/// - **Two voters, a tie, and force**: `ViewAgreement+Alone`.
/// - **Deviation from Paxos.** A proposer that gets no majority in time does not repeat its messages: it begins a
///   greater ballot. A voter checks that a proposed view may follow its own (`View.validate(after:)`) before it
///   accepts.
public struct ViewAgreement: Sendable {
    public enum Event: Sendable {
        /// Found a cluster of this node alone. Ignored by a member of one.
        case found(ClusterID, ClusterSettings)
        case received(ViewMessage)
        /// The record of that ticket, or a later one, is on disk.
        case persisted(ticket: UInt64)
        /// A node of the same cluster mentioned the number of its view.
        case heard(viewNumber: UInt64, from: NodeName, address: Address)
        /// Everybody that gossip knows.
        case peers([Peer])
        /// The planner's newest result for the view after the one that was installed last, or one that is forced after
        /// it; nil: it is fine as it is. To be sent again after every `.install`: a wish for another number is dropped.
        case desired(View?)
        /// The registry has given the number of the next view to this node, and the mark of the installed view is still
        /// there: the answer to `.claim`.
        case claimGranted(number: UInt64)
        /// An operator says that the missing voters will not come back: this view becomes the view, without any vote.
        /// To be made by `ViewPlanner.recovered`.
        case force(View)
        /// `nextDeadline` has passed. Harmless when it has not.
        case tick
    }

    public enum Effect: Hashable, Sendable {
        /// Write and sync the record, then say `.persisted(ticket:)`.
        case persist(VoterRecord, ticket: UInt64)
        case send(ViewMessage, to: NodeName, address: Address)
        /// The view is decided, and on this node's disk. Numbers ascend, and may skip some.
        case install(View)
        /// `isConfirmed` has become true.
        case confirmed
        /// The wait after a cold start is over: whoever is not there by now may be given up.
        case warm
        /// Ask the registry for this number (`TieBreaker.claim`); asked again as long as it would help.
        case claim(number: UInt64, mark: UInt64)
        /// Something is wrong with what a peer said. It was ignored; it is worth a line in the log.
        case refused(Refusal, from: NodeName)
    }

    /// A node as gossip knows it, in its newest generation.
    public struct Peer: Hashable, Sendable {
        public var id: NodeID
        public var disk: StoreID
        public var address: Address
        /// Suspects are.
        public var isAlive: Bool
        /// See `ObservedNode.isExitProven`.
        public var isExitProven: Bool

        public init(id: NodeID, disk: StoreID, address: Address, isAlive: Bool, isExitProven: Bool = false) {
            self.id = id
            self.disk = disk
            self.address = address
            self.isAlive = isAlive
            self.isExitProven = isExitProven
        }

        var name: NodeName { id.name }
        var voter: StoreHolder { StoreHolder(name: id.name, store: disk) }
    }

    public enum Refusal: Hashable, Sendable {
        /// It belongs to another cluster.
        case foreignCluster(ClusterID)
        case invalidView(ViewError)
        /// Two contents of one view number: agreement has failed, or somebody forced a view.
        case conflictingView(number: UInt64, digest: UInt64)
        /// Two views were proposed in one ballot.
        case conflictingProposal(Ballot)
    }

    public struct Settings: Hashable, Sendable {
        /// How much later each rank proposes than the one before it.
        public var step: Duration
        /// How long a voter waits for a ballot that it has voted for to come to a decision.
        public var patience: Duration
        /// How long a proposer waits for a majority in each phase.
        public var phaseTimeout: Duration
        /// The pause after a failed ballot is drawn from 1/2 to 1 of this, doubled with each failure up to
        /// `maximumBackoff`.
        public var backoff: Duration
        public var maximumBackoff: Duration
        /// How often a restarted node repeats its question for the current view.
        public var confirmationInterval: Duration
        /// No more than one question for a given view number in this time.
        public var fetchInterval: Duration
        /// How often the registry is asked for the number of the next view.
        public var claimInterval: Duration
        /// How long a process that starts waits for all voters of its view, once a majority has answered and none of
        /// them was running.
        public var coldStart: Duration
        /// Whether a node without a view installs the first one that it hears of, though it is not listed in it yet.
        public var joins: Bool
        /// Whether proof is enough to go on without the others.
        public var survives: Bool
        /// For tests of the tests.
        package var mutation: Mutation?

        public init(
            step: Duration = .milliseconds(50), patience: Duration = .milliseconds(250),
            phaseTimeout: Duration = .milliseconds(250), backoff: Duration = .milliseconds(50),
            maximumBackoff: Duration = .seconds(2), confirmationInterval: Duration = .milliseconds(500),
            fetchInterval: Duration = .milliseconds(100), claimInterval: Duration = .milliseconds(500),
            coldStart: Duration = Limits.coldStartPatience, joins: Bool = true, survives: Bool = true
        ) {
            self.step = step
            self.patience = patience
            self.phaseTimeout = phaseTimeout
            self.backoff = backoff
            self.maximumBackoff = maximumBackoff
            self.confirmationInterval = confirmationInterval
            self.fetchInterval = fetchInterval
            self.claimInterval = claimInterval
            self.coldStart = coldStart
            self.joins = joins
            self.survives = survives
        }
    }

    /// Planted mistakes: each has to be found by the simulation.
    package enum Mutation: String, CaseIterable, Sendable {
        /// A process that is not confirmed claims, and decides by its claim.
        case claimUnconfirmed
        /// One of two voters goes on alone without proof.
        case aloneWithoutProof
        /// Proof that an earlier process is gone is taken for proof about the one that came after it.
        case staleProof
        /// The own vote before going on alone is ignored.
        case aloneIgnoresAccepted
        /// A minority of survivors forces a view without proof about the others.
        case forceWithoutProof
        /// A process that starts does not wait for a majority.
        case solitaryColdStart
    }

    /// What waits for a record to be on disk.
    enum Held {
        case send(ViewMessage, to: NodeName, address: Address)
        /// This node's vote in its own ballot.
        case count(ViewMessage)
        case install(View)
    }

    public let myself: Member
    let settings: Settings
    /// As far as it is decided, not necessarily on disk yet.
    public internal(set) var record: VoterRecord
    /// The newest view that was installed: decided, and on disk.
    public internal(set) var installed: View?
    /// Whether this process may run anything: see "Restart" above.
    public internal(set) var isConfirmed = false
    /// Until when wishes wait after a cold start.
    public internal(set) var coldUntil: Instant?

    var random: SeededGenerator
    var peers: [NodeName: Peer] = [:]
    var desired: View?

    var lastTicket: UInt64 = 0
    var durableTicket: UInt64 = 0
    var isRecordDirty = false
    /// Ascending by ticket.
    var held: [(ticket: UInt64, what: Held)] = []

    var attempt: Attempt?
    var proposeAt: Instant?
    var failures = 0
    /// The greatest round heard of in this instance.
    var highestRound: UInt64 = 0

    /// Voters of `record.view` that have told this process that they know no later view.
    var confirmations: [StoreHolder] = []
    /// One of them was running.
    var hasMetRunning = false
    var askAt: Instant?
    var fetched: (number: UInt64, at: Instant)?

    /// The newest process of each voter that this one has met, and that is proven to be gone.
    var met: [StoreHolder: Generation] = [:]
    var proven: [StoreHolder: Generation] = [:]
    /// The number that the registry has given to this process.
    var claimed: UInt64?
    /// When to ask the registry, as long as that would help.
    var claimAt: Instant?

    /// - Parameters:
    ///   - myself: this process. Its generation is in `record`, and on disk, already.
    ///   - record: what the data directory holds; an empty one in a new directory, and only there. It is written once
    ///     more before anything rests on it, so it may also be the record of the machine that this one replaces in the
    ///     same process.
    ///   - installed: what that machine had installed: the record may be ahead of it. Nil: what the record says.
    public init(
        myself: Member, record: VoterRecord, installed: View? = nil, settings: Settings = Settings(), seed: UInt64
    ) {
        self.myself = myself
        self.record = record
        self.record.generation = myself.id.generation
        #if PLANTED_BUGS
        var settings = settings
        if PlantedBug.isActive(.aloneWithoutProof) { settings.mutation = .aloneWithoutProof }
        #endif
        self.settings = settings
        random = SeededGenerator(seed: seed)
        isRecordDirty = true
        self.installed = installed ?? record.view
        guard let view = record.view else { return }
        askAt = .zero
        if view.number > self.installed?.number ?? 0 { hold(.install(view)) }
    }

    /// When to send `.tick`, at the latest; nil: nothing is due.
    public var nextDeadline: Instant? {
        [proposeAt, attempt?.deadline, askAt, claimAt, coldUntil].compactMap { $0 }.min()
    }

    public mutating func handle(_ event: Event, at now: Instant, into effects: inout [Effect]) {
        switch event {
        case .found(let cluster, let settings): found(cluster, settings)
        case .received(let message): receive(message, at: now, into: &effects)
        case .persisted(let ticket): durableTicket = max(durableTicket, min(ticket, lastTicket))
        case .heard(let number, let name, let address):
            hear(of: number, from: name, address, at: now, into: &effects)
        case .peers(let all): meet(all, at: now, into: &effects)
        case .desired(let view): wish(for: view, at: now)
        case .claimGranted(let number): takeClaim(of: number, at: now)
        case .force(let view): force(view, at: now, into: &effects)
        case .tick: break
        }
        considerClaim(at: now)
        releaseHeld(at: now, into: &effects)
        act(at: now, into: &effects)
        releaseHeld(at: now, into: &effects)
        if isRecordDirty {
            isRecordDirty = false
            lastTicket += 1
            effects.append(.persist(record, ticket: lastTicket))
        }
    }

    /// Does what is due.
    private mutating func act(at now: Instant, into effects: inout [Effect]) {
        if let askAt, now >= askAt { askForConfirmation(at: now, into: &effects) }
        if let coldUntil, now >= coldUntil { endColdStart(at: now, into: &effects) }
        if let claimAt, now >= claimAt { claim(at: now, into: &effects) }
        if let attempt, now >= attempt.deadline { abandonBallot(at: now) }
        if let proposeAt, now >= proposeAt { beginBallot(at: now, into: &effects) }
    }

    private mutating func receive(_ message: ViewMessage, at now: Instant, into effects: inout [Effect]) {
        if let mine = record.view?.cluster, let theirs = message.cluster, mine != theirs {
            effects.append(.refused(.foreignCluster(theirs), from: message.sender.id.name))
            return
        }
        meet(message.sender)
        switch message.body {
        case .decided(let view): learn(view, from: message.sender.id.name, at: now, into: &effects)
        case .wantView: answerWant(message, into: &effects)
        case .current(let asked, let isRunning):
            confirm(message, asked: asked, isRunning: isRunning, at: now, into: &effects)
        case .prepare, .promise, .propose, .accepted, .refuse: vote(on: message, at: now, into: &effects)
        }
    }

    /// Paxos proper: only about the view after the own one, only between its voters.
    private mutating func vote(on message: ViewMessage, at now: Instant, into effects: inout [Effect]) {
        guard let view = record.view, message.number == view.number &+ 1 else {
            notOfThisInstance(message, at: now, into: &effects)
            return
        }
        guard isVoter, view.voters.contains(message.sender.voter) else { return }
        switch message.body {
        case .prepare(let ballot): prepare(ballot, message.sender, at: now, into: &effects)
        case .propose(let ballot, let view): accept(view, in: ballot, message.sender, at: now, into: &effects)
        case .promise(let ballot, let accepted):
            countPromise(ballot, accepted, of: message.sender.voter, at: now, into: &effects)
        case .accepted(let ballot): countAcceptance(ballot, of: message.sender.voter, at: now, into: &effects)
        case .refuse(let ballot, let promised): giveWay(ballot, to: promised, at: now)
        case .decided, .wantView, .current: break
        }
    }

    private mutating func notOfThisInstance(_ message: ViewMessage, at now: Instant, into effects: inout [Effect]) {
        let known = record.view?.number ?? 0
        if message.number > known {
            // Who speaks of a view's successor knows that view.
            let sender = message.sender
            hear(of: message.number &- 1, from: sender.id.name, sender.address, at: now, into: &effects)
            return
        }
        switch message.body {
        case .prepare, .propose: answerWant(message, into: &effects)
        // Late answers are the rule: the majority had decided without them.
        case .promise, .accepted, .refuse, .decided, .wantView, .current: break
        }
    }
}

// MARK: - What the roles share

extension ViewAgreement {
    /// Whether this process votes about the next view: by name and disk.
    public var isVoter: Bool { record.view?.voters.contains(myself.voter) ?? false }

    /// Whether these voters of `record.view` can decide whatever the others do.
    func isMajority(_ votes: [StoreHolder]) -> Bool {
        guard let view = record.view else { return false }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.oneVoterMajority) { return votes.count * 2 >= view.voters.count }
        #endif
        return votes.count >= view.majority
    }

    func message(_ body: ViewMessage.Body, about number: UInt64) -> ViewMessage {
        let sender = ViewMessage.Sender(id: myself.id, disk: myself.profile.disk, address: myself.profile.peer)
        return ViewMessage(cluster: record.view?.cluster, sender: sender, number: number, body: body)
    }

    func address(of name: NodeName) -> Address? {
        peers[name]?.address ?? record.view?.member(name)?.profile.peer
    }

    /// What waits for a slow disk is bounded: answers beyond it are lost, as messages may be.
    static let maximumHeld = 128

    /// Everything that is done from now on rests on the record as it is now.
    mutating func hold(_ what: Held) {
        if case .send = what, held.count >= Self.maximumHeld { return }
        held.append((isRecordDirty ? lastTicket + 1 : lastTicket, what))
    }

    private mutating func releaseHeld(at now: Instant, into effects: inout [Effect]) {
        while let first = held.first, first.ticket <= durableTicket {
            held.removeFirst()
            switch first.what {
            case .send(let message, let name, let address): effects.append(.send(message, to: name, address: address))
            case .count(let message): vote(on: message, at: now, into: &effects)
            case .install(let view): install(view, at: now, into: &effects)
            }
        }
    }
}

import Primitives
import Views

/// Thrown when a run breaks a rule. The seed reproduces it.
struct Violation: Error, CustomStringConvertible {
    let seed: UInt64
    let what: String
    var description: String { "seed \(seed): \(what)" }
}

/// Ways to break the rules: each has to be caught by the checks, or they check nothing.
enum Flaw: Hashable, CustomStringConvertible {
    case outside(Outside)
    /// In the machine.
    case mutation(ViewAgreement.Mutation)

    static let all = Outside.allCases.map(Flaw.outside) + ViewAgreement.Mutation.allCases.map(Flaw.mutation)

    var description: String {
        switch self {
        case .outside(let flaw): flaw.rawValue
        case .mutation(let mutation): mutation.rawValue
        }
    }

    /// It shows where there are two voters, mostly.
    var isAboutTwo: Bool {
        switch self {
        case .outside(.unmarkedClaim), .outside(.reusedMark), .mutation(.claimUnconfirmed),
            .mutation(.aloneWithoutProof), .mutation(.staleProof), .mutation(.aloneIgnoresAccepted):
            true
        case .outside, .mutation: false
        }
    }
}

/// Broken from outside of the machine.
enum Outside: String, CaseIterable {
    /// Promises lose what was accepted.
    case ignoreAccepted
    /// A node whose disk was wiped claims to be the voter that it was.
    case blankVoterVotes
    /// Votes are not on disk: a restart forgets them.
    case volatileVotes
    /// "Persisted" is said before it is.
    case earlyPersisted
    /// A takeover lists a living node that held no copy.
    case unlistedTakeover
    /// A restarted primary goes on in its old term.
    case resumedTerm
    /// A claim counts though nobody has looked whether the registry has forgotten others.
    case unmarkedClaim
    /// A mark that is missing is written once more.
    case reusedMark
}

/// A cluster on a virtual clock: the real machines and the real planner, on a network and on disks that fail.
///
/// For some seconds everything goes wrong: messages are lost, late, repeated and reordered; the network falls apart;
/// nodes crash (what was not written is lost) and come back with their disk or with an empty one; gossip is mistaken,
/// primaries ask for learners and complain; the registry is away, restarts, forgets. Then all heals, but for a few
/// nodes that may stay down, and the cluster has to settle: by itself if none is lost, else with the help of an
/// operator.
///
/// Excluded: that voters who are proven to be dead start again while survivors, too few for a majority of three or
/// more, are about to force a view (`ForcedViews.swift` says what happens then). Afterwards they may, also where they
/// do not hear of it.
struct SimulatedCluster {
    struct Node {
        let name: NodeName
        var disk: StoreID
        var store: StoreID
        /// What a crash leaves.
        var durable = VoterRecord(generation: Generation(0))
        var machine: ViewAgreement?
        var process = 0
        var address: Address
        /// Asked for and not on disk yet, ascending.
        var writes: [(ticket: UInt64, record: VoterRecord)] = []
        var isWriting = false
        var isDraining = false
        var group = 0
        /// Processes that gossip says are proven to be gone. What it says is true.
        var proofs: Set<NodeID> = []
        var tie: TieBreaker
        var link = RegistryLink()
        var salt: UInt64 = 0
        var beliefs: [ObservedNode] = []
        var planned: (after: UInt64, from: Observations, view: View?)?
        var tickAt: Instant?

        var id: NodeID { NodeID(name: name, generation: durable.generation) }
        var profile: MemberProfile {
            MemberProfile(
                gossip: address, peer: address, http: address, disk: disk, store: store, slots: 1)
        }
        var isUp: Bool { machine != nil }
        var voter: StoreHolder { StoreHolder(name: name, store: disk) }
    }

    enum Happening {
        case deliver(ViewMessage, to: Int, address: Address)
        case heard(UInt64, from: Int, to: Int)
        case written(Int, process: Int)
        case tick(Int, process: Int)
        case observe(Int)
        case registry(RegistryStep, of: Int, process: Int)
        case link(Int)
        case start(Int)
        case fault
        case check
    }

    let seed: UInt64
    let flaw: Flaw?
    var random: SeededGenerator
    var nodes: [Node] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    var queue = EventQueue<Happening>()
    var ghosts: Ghosts
    var isHealed = false
    var healedAt = Instant.distantFuture
    var registry = SimulatedRegistry()
    var asks: [LearnerAsk] = []
    var failedAsks: [LearnerAsk] = []
    var complaints: [BackupComplaint] = []
    var drained: [DrainedLedger] = []
    var lossPercent = 10
    /// Disks are lost, and nodes stay down in the end: in some runs.
    var isDeadly = false
    var nextStore: UInt64 = 1
    var nextPort: UInt16 = 1
    /// Voters are hasty and wish for different views, so that ballots collide.
    var isContentious = false
    /// Two nodes that lose each other again and again, with quiet times in between.
    var isDuel = false
    /// Of a duel: until the next quiet time.
    var strikes = 0
    var timing = ViewAgreement.Settings()
    var trace: ((String) -> Void)?

    init(seed: UInt64, flaw: Flaw? = nil) {
        self.seed = seed
        self.flaw = flaw
        random = SeededGenerator(seed: seed)
        ghosts = Ghosts(seed: seed)
        isDuel = flaw?.isAboutTwo ?? chance(25)
        let count = isDuel ? 2 : Int.random(in: flaw == nil ? 1...7 : 2...5, using: &random)
        isContentious = isDuel || flaw != nil || chance(60)
        if isContentious {
            timing.step = milliseconds(0...5)
            timing.patience = milliseconds(1...40)
            timing.phaseTimeout = milliseconds(20...150)
            timing.backoff = milliseconds(1...30)
            timing.maximumBackoff = .milliseconds(200)
        }
        timing.coldStart = milliseconds(200...4000)
        timing.claimInterval = milliseconds(20...500)
        timing.survives = chance(80)
        if case .mutation(let mutation) = flaw { timing.mutation = mutation }
        registry.exists = flaw == .outside(.unmarkedClaim) || flaw == .outside(.reusedMark) || chance(60)
        registry.isForgetful = chance(50)
        isDeadly = chance(30)
        lossPercent = Int.random(in: 0...35, using: &random)
        for letter in "abcdefg".prefix(count) {
            guard let name = NodeName(String(letter)) else { continue }
            nodes.append(
                Node(
                    name: name, disk: freshStore(), store: freshStore(), address: Address(host: "n", port: freshPort()),
                    tie: TieBreaker(name, seed: 0)))
        }
    }

    mutating func freshStore() -> StoreID {
        nextStore += 1
        return StoreID(nextStore)
    }

    mutating func freshPort() -> UInt16 {
        nextPort += 1
        return nextPort
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func milliseconds(_ range: ClosedRange<Int>) -> Duration {
        .microseconds(Int.random(in: range.lowerBound * 1000...range.upperBound * 1000, using: &random))
    }

    func log(_ text: @autoclosure () -> String) { trace?("\(now.nanoseconds / 1_000_000) ms: \(text())") }

    // MARK: Running

    mutating func run() throws(Violation) {
        for index in nodes.indices { try start(index) }
        let settings = ClusterSettings(copies: UInt8.random(in: 1...3, using: &random))
        try handle(.found(ClusterID(high: 1, low: seed), settings), by: 0)
        let healAt = now + milliseconds(500...12000)
        queue.add(.fault, at: now + milliseconds(100...500))
        while let (at, happening) = queue.removeFirst() {
            now = at
            if !isHealed, now >= healAt { try heal() }
            if isHealed, now - healedAt > .seconds(60) { try judge(isFinal: true) }
            if case .check = happening {
                if try judge(isFinal: false) { return }
                queue.add(.check, at: now + .milliseconds(200))
            } else {
                try happen(happening)
            }
        }
    }

    private mutating func happen(_ happening: Happening) throws(Violation) {
        switch happening {
        case .deliver(var message, let index, let address):
            guard nodes[index].address == address, canReach(message.sender.id.name, index) else { return }
            if flaw == .outside(.ignoreAccepted), case .promise(let ballot, _) = message.body {
                message.body = .promise(ballot, accepted: nil)
            }
            log("\(message.sender.id.name) -> \(nodes[index].name) about \(message.number): \(message.body.summary)")
            try handle(.received(message), by: index)
        case .heard(let number, let from, let index):
            guard nodes[from].group == nodes[index].group else { return }
            let sender = nodes[from]
            try handle(.heard(viewNumber: number, from: sender.name, address: sender.address), by: index)
        case .written(let index, let process):
            guard nodes[index].process == process else { return }
            try finishWrite(index)
        case .tick(let index, let process):
            guard nodes[index].process == process, nodes[index].tickAt == now else { return }
            nodes[index].tickAt = nil
            try handle(.tick, by: index)
        case .observe(let index):
            queue.add(.observe(index), at: now + milliseconds(100...300))
            guard nodes[index].isUp else { return }
            try observe(index)
        case .registry(let step, let index, let process):
            guard nodes[index].process == process || step.isUnderWay else { return }
            try carryOut(step, of: index, process: process)
        case .link(let index): try noticeRegistry(index)
        case .start(let index): if !nodes[index].isUp { try start(index) }
        case .fault:
            guard !isHealed else { return }
            try fault()
            let pause =
                isDuel ? strikes == 0 ? 300...900 : 3...150 : isContentious ? 5...200 : 20...600
            queue.add(.fault, at: now + milliseconds(pause))
        case .check: break
        }
    }

    private func canReach(_ name: NodeName, _ index: Int) -> Bool {
        guard let from = nodes.first(where: { $0.name == name }) else { return false }
        return from.group == nodes[index].group
    }

    mutating func handle(_ event: ViewAgreement.Event, by index: Int) throws(Violation) {
        guard var machine = nodes[index].machine else { return }
        var effects: [ViewAgreement.Effect] = []
        machine.handle(event, at: now, into: &effects)
        nodes[index].machine = machine
        var installed = false
        for effect in effects {
            switch effect {
            case .persist(let record, let ticket):
                nodes[index].writes.append((ticket, record))
                ghosts.willWrite(record, ticket: ticket, by: nodes[index], living: confirmedVoters(of: record.view))
                startWrite(index)
                if flaw == .outside(.earlyPersisted) { try handle(.persisted(ticket: ticket), by: index) }
            case .send(let message, let name, let address):
                send(message, to: name, address)
            case .install(let view):
                log("\(nodes[index].name) installs \(view.summary)")
                try ghosts.installs(view, asks: asks)
                installed = true
                try tell(.installed(view, isVoter: view.voters.contains(nodes[index].voter)), to: index)
            case .warm: log("\(nodes[index].name) is warm")
            case .claim(let number, let mark):
                guard nodes[index].machine?.isConfirmed == true else {
                    throw Violation(seed: seed, what: "\(nodes[index].name) claims \(number) unconfirmed")
                }
                try tell(.claim(number: number, mark: mark), to: index)
            case .confirmed:
                log("\(nodes[index].name) is confirmed")
                try ghosts.confirms(nodes[index])
            case .refused(let refusal, let name):
                throw Violation(seed: seed, what: "\(nodes[index].name) refuses \(refusal) of \(name)")
            }
        }
        if installed { try observe(index) }
        guard let due = nodes[index].machine?.nextDeadline else { return }
        let at = max(due, now)
        if nodes[index].tickAt.map({ at < $0 || $0 < now }) ?? true {
            nodes[index].tickAt = at
            queue.add(.tick(index, process: nodes[index].process), at: at)
        }
    }

    private mutating func send(_ message: ViewMessage, to name: NodeName, _ address: Address) {
        guard let index = nodes.firstIndex(where: { $0.name == name }) else { return }
        let copies = isHealed ? 1 : chance(loss(of: message.body)) ? 0 : chance(10) ? 2 : 1
        for _ in 0..<copies {
            let delay = isHealed ? milliseconds(1...5) : chance(10) ? milliseconds(1...2000) : milliseconds(1...40)
            queue.add(.deliver(message, to: index, address: address), at: now + delay)
        }
    }

    /// Ballots that end half-way, and decisions that few hear of, are what is interesting.
    private func loss(of body: ViewMessage.Body) -> Int {
        if isDuel, strikes == 0 { return 3 }
        guard isContentious else { return lossPercent }
        return switch body {
        case .prepare, .promise, .refuse, .current: lossPercent
        case .propose, .accepted: 45
        case .decided, .wantView: 75
        }
    }

    // MARK: Disks

    /// One write at a time; what was asked for meanwhile is written with the next, or one by one.
    private mutating func startWrite(_ index: Int) {
        guard !nodes[index].isWriting, !nodes[index].writes.isEmpty else { return }
        nodes[index].isWriting = true
        if chance(50), let last = nodes[index].writes.last { nodes[index].writes = [last] }
        queue.add(
            .written(index, process: nodes[index].process),
            at: now + (isHealed ? milliseconds(1...3) : milliseconds(1...60)))
    }

    private mutating func finishWrite(_ index: Int) throws(Violation) {
        let (ticket, record) = nodes[index].writes.removeFirst()
        nodes[index].durable = record
        nodes[index].isWriting = false
        ghosts.wrote(upTo: ticket, by: nodes[index])
        startWrite(index)
        try handle(.persisted(ticket: ticket), by: index)
    }

    /// Whether a majority of the voters of the node's last view have gone on without it.
    private func isStale(_ node: Node) -> Bool {
        guard let view = node.durable.view else { return false }
        let ahead = view.voters.count { voter in
            nodes.contains {
                $0.name == voter.name && $0.disk == voter.store && $0.durable.view?.number ?? 0 > view.number
            }
        }
        return ahead >= view.majority
    }

    mutating func start(_ index: Int) throws(Violation) {
        var node = nodes[index]
        let wall = UInt64(now.nanoseconds / 1_000_000)
        node.durable.generation = node.durable.nextGeneration(millisecondsSince1970: wall)
        node.process += 1
        node.writes = []
        node.isWriting = false
        node.isDraining = false
        node.tickAt = nil
        node.planned = nil
        node.beliefs = []
        node.proofs = []
        node.salt = random.next()
        node.tie = TieBreaker(node.name, seed: random.next())
        node.link = RegistryLink()
        if chance(50) { node.address = Address(host: "n", port: freshPort()) }
        if flaw == .outside(.volatileVotes) {
            node.durable.promised = nil
            node.durable.accepted = nil
        }
        node.machine = ViewAgreement(
            myself: Member(id: node.id, profile: node.profile), record: node.durable, settings: timing,
            seed: random.next())
        nodes[index] = node
        ghosts.starts(node, isStale: isStale(node))
        // What the last process wrote, and had no time to install.
        if let view = node.durable.view { try ghosts.installs(view, asks: asks) }
        log("\(node.id) starts in view \(node.durable.view?.number ?? 0)")
        if node.process == 1 { queue.add(.observe(index), at: now + milliseconds(1...100)) }
        if let view = node.durable.view {
            try tell(.installed(view, isVoter: view.voters.contains(node.voter)), to: index)
        }
        queue.add(.link(index), at: now + milliseconds(1...100))
    }

    /// Whose processes, being confirmed, may decide about the view after that one.
    func confirmedVoters(of view: View?) -> Set<StoreHolder> {
        Set(nodes.filter { $0.machine?.isConfirmed == true && view?.voters.contains($0.voter) ?? false }.map(\.voter))
    }
}

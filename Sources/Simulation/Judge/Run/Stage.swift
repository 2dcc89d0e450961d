import Node
import Primitives
import TaskLedger
import Views

/// What is true of the cluster, as somebody sees it who sees everything: the newest view, which disks are whole, who has been
/// in trouble. Faults ask it how far they may go, checkers whom to excuse.
///
/// A listed replica is *good* if the node's disk still has the store that the view names, and lost nothing that may have been
/// committed. A loss of power without syncs harms a copy until it is seen to hold all that is committed; if it takes over
/// before that, nobody can know what it lacks.
///
/// `@unchecked`: only touched by the world's thread.
final class Stage: @unchecked Sendable {
    /// What is known of one machine.
    struct Machine {
        /// Of its last process; nil while the disk is empty.
        var profile: MemberProfile?
        var identity: NodeID?
        /// The view that it was in when it was looked at last.
        var installed: View?
        /// When it was first seen with that view.
        var installedAt = Instant.zero
        /// Copies that may lack what was committed, since the power went.
        var harmed: Set<LedgerID> = []
        /// When its disk lost something.
        var lastLoss: Instant?
        /// It was told to leave, and is not to be started again for now.
        var isAway = false
        /// Troubles that are under way, and when the last one ended.
        var troubles = 0
        var lastTrouble: Instant?
        /// Of its disk: a node may end on account of it.
        var diskTroubles = 0
        var lastDiskTrouble: Instant?
        /// The start that has seen a bit flipped in what was durable.
        var isFlipped = false
    }

    let world: World
    var machines: [Machine] = []
    private(set) var view: View?
    private(set) var viewSince = Instant.zero
    /// Contents by number.
    private var digests: [UInt64: UInt64] = [:]
    /// Lives that a view has removed.
    private(set) var removed: Set<NodeID> = []
    private(set) var viewCount = 0
    private var givenUp: Set<ClusterID> = []
    private(set) var takeovers = 0
    /// Ledgers of which every listed copy was destroyed, and when: what was acknowledged before may be gone.
    private(set) var excused: [LedgerID: Instant] = [:]
    /// Ledgers a copy of which was harmed by a loss of power, and when the last time.
    private(set) var harmed: [LedgerID: Instant] = [:]
    private var names: [NodeName: Int] = [:]

    /// Faults may destroy what cannot be made up for.
    private let isBeyond: Bool

    init(_ world: World, isBeyond: Bool) {
        self.world = world
        self.isBeyond = isBeyond
        adopt()
    }

    /// Nodes that were added.
    func adopt() {
        for node in world.nodes.dropFirst(machines.count) {
            names[node.name] = node.index
            machines.append(Machine())
        }
    }

    func index(_ name: NodeName) -> Int? { names[name] }

    /// Who serves the ledger of a task by the newest view.
    func owner(of id: TaskID) -> Int? {
        (view?.ledgers.first { TaskID.tag(of: $0.id) == id.ledgerTag }?.primary.name).flatMap { names[$0] }
    }

    // MARK: Views

    /// - Returns: a violation if this number had another content.
    func saw(_ view: View, at node: Int) -> Violation? {
        guard !givenUp.contains(view.cluster) else { return nil }
        if let old = self.view, old.cluster != view.cluster, isBeyond {
            // Every disk that knew of the old one was destroyed, or so it seemed to those that were left.
            givenUp.insert(old.cluster)
            for ledger in old.ledgers + view.ledgers { excuse(ledger.id) }
            digests = [:]
            self.view = nil
        }
        if let known = digests[view.number] {
            guard known != view.digest else { return nil }
            return Violation(
                .twoContents, "node \(node) has another view \(view.number) than others had", at: world.now)
        }
        digests[view.number] = view.digest
        if let newest = self.view, newest.number >= view.number + Limits.forcedJump {
            // Those that a forced view left behind came back where they did not meet who had forced it, and went on: what both
            // have committed since is merged when they meet (`ForcedViews`).
            for ledger in newest.ledgers + view.ledgers { excuse(ledger.id) }
            isDivided = true
        }
        guard view.number > self.view?.number ?? 0 else { return nil }
        viewCount += 1
        if let old = self.view {
            for member in old.members where view.member(member.id) == nil { removed.insert(member.id) }
            // Taken over by a copy that lacked something, and drained, before anybody looked.
            for ledger in old.ledgers where view.ledger(ledger.id) == nil {
                if ledger.replicas.contains(where: { !isGood($0, of: ledger.id) }) { excuse(ledger.id) }
            }
            for ledger in view.ledgers {
                guard let before = old.ledger(ledger.id), before.term != ledger.term else { continue }
                takeovers += 1
                if !isGood(ledger.primary, of: ledger.id) { excuse(ledger.id) }
                // Another one had it in between, before anybody looked.
                if ledger.term.rawValue > before.term.rawValue + 1,
                    !before.replicas.allSatisfy({ isGood($0, of: ledger.id) })
                {
                    excuse(ledger.id)
                }
                // A view that a minority has forced may follow an older one, and bring back copies that this one had released:
                // what was committed without them is offered to them later, and adopted.
                let isForced = view.number - old.number >= Limits.forcedJump
                if isForced, !ledger.replicas.allSatisfy(before.replicas.contains) { excuse(ledger.id) }
            }
        }
        self.view = view
        viewSince = world.now
        excuseWhatIsGone()
        let applied = view.settings.applied.map(\.id)
        guard Set(applied).count == applied.count else {
            return Violation(
                .settingsTwice, "view \(view.number) has made the changes \(applied)", at: world.now)
        }
        return nil
    }

    /// There is a forced view, and somebody goes on with those before it.
    private var isDivided = false

    /// As long as some go on without the others, what both commit is not one history.
    func lookAtSides() {
        guard isDivided, let view else { return }
        let behind = world.nodes.compactMap { node in node.isUp ? machines[node.index].installed : nil }
            .filter { $0.number + Limits.forcedJump <= view.number }
        for ledger in view.ledgers + behind.flatMap(\.ledgers) { excuse(ledger.id) }
        isDivided = !behind.isEmpty
    }

    // MARK: Copies

    func isGood(_ replica: StoreHolder, of ledger: LedgerID) -> Bool {
        guard let index = names[replica.name] else { return false }
        // One that was never looked at has lost nothing yet.
        if let profile = machines[index].profile, profile.store != replica.store { return false }
        return !machines[index].harmed.contains(ledger)
    }

    /// Ledgers that would have no good copy left without this node's.
    func lastCopies(at node: Int) -> [LedgerID] {
        guard let view else { return [] }
        let name = world.nodes[node].name
        return view.ledgers.filter { ledger in
            let good = ledger.replicas.filter { isGood($0, of: ledger.id) }
            return !good.isEmpty && good.allSatisfy { $0.name == name }
        }.map(\.id)
    }

    /// Whether the voters that are left are a majority without this node's vote.
    func canVoteWithout(_ node: Int) -> Bool {
        guard let view else { return false }
        let name = world.nodes[node].name
        // Those who have decided the newest view may be the only ones that know it, whoever votes from then on.
        let informed = view.voters.count { voter in
            voter.name != name && names[voter.name].flatMap { machines[$0].installed?.number } ?? 0 >= view.number
        }
        guard informed >= view.majority else { return false }
        guard view.voters.contains(where: { $0.name == name }) else { return true }
        if view.voters.count(where: { hasVote($0) && $0.name != name }) >= view.majority { return true }
        // Of two either goes on alone if it sees the other end. One that comes back later to a wiped disk cannot know what was
        // decided with the old one: that takes an operator.
        return false
    }

    /// Whether, without a registry, most of the seeds would still know that there is a cluster. If not, they would begin
    /// another one, as at the very first start; which of the two is meant only a person can say.
    func seedsRemember(without node: Int) -> Bool {
        let seeds = min(3, world.settings.nodes)
        guard !world.settings.hasRedis, node < seeds else { return true }
        return (0..<seeds).count { $0 == node || machines[$0].installed == nil } <= seeds / 2
    }

    /// Whether the registry, if there is one, names the cluster to whoever looks for one. If it does not, and no member comes to
    /// say so before somebody with an empty disk asks, there will be a second cluster of the same name: as above.
    var isClusterRegistered: Bool { view == nil || world.redis.map { $0.cluster != nil } ?? true }

    /// Whether no node would begin a cluster if the registry forgot this one.
    var everybodyKnowsOfTheCluster: Bool { view == nil || machines.allSatisfy { $0.installed != nil } }

    private func hasVote(_ voter: StoreHolder) -> Bool {
        names[voter.name].map { machines[$0].profile?.disk ?? voter.store == voter.store } ?? false
    }

    /// Every member's disk is lost: whoever is not a member may know the view, and cannot go on with it.
    var hasLostAllMembers: Bool {
        view?.members.allSatisfy { !hasVote(StoreHolder(name: $0.id.name, store: $0.profile.disk)) } ?? false
    }

    /// Too many voters have lost their disks: no view can ever change again.
    var isBeyondVoting: Bool {
        guard let view else { return false }
        return view.voters.count(where: hasVote) < view.majority
    }

    /// The node's store, and with `votes` its vote, is no more.
    func lostStore(of node: Int, votes: Bool) {
        machines[node].profile?.store = StoreID(0)
        if votes {
            machines[node].profile?.disk = StoreID(0)
            machines[node].installed = nil
        }
        machines[node].harmed = []
        machines[node].lastLoss = world.now
        excuseWhatIsGone()
    }

    /// What the node had not synced is gone, though it may have been told to be durable.
    func lostTail(of node: Int) {
        guard let view else { return }
        let name = world.nodes[node].name
        machines[node].lastLoss = world.now
        for ledger in view.ledgers {
            // What no view lists it for may be on its way into one: the node was a learner.
            machines[node].harmed.insert(ledger.id)
            if ledger.replicas.contains(where: { $0.name == name }) { harmed[ledger.id] = world.now }
        }
        excuseWhatIsGone()
    }

    func isWhole(_ ledger: LedgerID, at node: Int) { machines[node].harmed.remove(ledger) }

    private func excuseWhatIsGone() {
        guard let view else { return }
        for ledger in view.ledgers where !ledger.replicas.contains(where: { isGood($0, of: ledger.id) }) {
            excuse(ledger.id)
        }
    }

    /// An operator goes on with a view that others have followed, since who decided that has lost its disk: what was committed
    /// in those later views is given up.
    func goesBack(to older: View) {
        guard let view, older.number < view.number else { return }
        for ledger in Set((view.ledgers + older.ledgers).map(\.id)).sorted() { excuse(ledger) }
    }

    /// Until when what was decided may have been lost.
    var lastExcuse: Instant? { excused.values.max().map { $0 + .seconds(1) } }

    private func excuse(_ ledger: LedgerID) {
        excused[ledger] = world.now
        // The next copy that serves it is what counts now.
        for index in machines.indices { machines[index].harmed.remove(ledger) }
    }

    // MARK: Clocks

    /// How far any node's wall clock was ever seen to be from one that is right.
    private(set) var clockError = Duration.zero

    func lookAtClocks() { for node in world.nodes { clockError = max(clockError, node.clock.wallError) } }

    // MARK: Troubles

    func troubleBegins(_ nodes: [Int]) { for node in nodes { machines[node].troubles += 1 } }

    func troubleEnds(_ nodes: [Int]) {
        for node in nodes {
            machines[node].troubles -= 1
            machines[node].lastTrouble = world.now
        }
    }

    /// Whether anything has happened to the node, or to what connects it, since then, or shortly before.
    func wasInTrouble(_ node: Int, since: Instant) -> Bool {
        let machine = machines[node]
        return machine.troubles > 0 || machine.lastTrouble.map { $0 + .seconds(10) > since } ?? false
    }

    /// Whether its process may end by itself, or may have since then.
    func mayStop(_ node: Int, since: Instant? = nil) -> Bool {
        let machine = machines[node]
        // A process that was stopped meanwhile hears of it when it goes on.
        return machine.diskTroubles > 0
            || machine.lastDiskTrouble.map { $0 + .seconds(40) > since ?? world.now } ?? false
    }
}

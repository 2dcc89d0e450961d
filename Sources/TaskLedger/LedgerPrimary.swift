import DequeModule
public import Primitives

/// What a primary wants done for its replication.
public enum ReplicationEffect: Sendable {
    /// The reply goes to `handle(_:from:epoch:)`; a request that fails, to `requestFailed`.
    case append(AppendRequest, to: StoreHolder, epoch: UInt32)
    case copy(CopyRequest, to: StoreHolder, epoch: UInt32)
    /// Rule R2: void in any view but `view`.
    case askToList(LedgerID, Term, learner: StoreHolder, view: UInt64)
    /// The learner that was asked for has failed: a view is needed even if nothing else changes.
    case askFailed(LedgerID, Term, learner: StoreHolder, view: UInt64)
    /// The backup is no good: its link is down, or it lags.
    case unreachable(LedgerID, Term, backup: StoreHolder, view: UInt64)
}

/// The primary's side of one ledger's replication (rules R2 and R5): which entries are committed.
///
/// An entry is committed when it is durable here (`madeDurable`), and every backup that the view lists has acknowledged it,
/// and every learner that the voters have been asked to list (`joint`), until a later view is installed, whatever that
/// says. Then what hangs on it happens: `Action`s come back from `takeCommitted` in the order of their entries.
///
/// A learner is asked for only once it holds all entries of earlier terms (some may be committed, and this primary cannot
/// tell which) and all that is committed. One at a time; the request names the view, and is void in any other.
///
/// Deviations from rule R2 as written: a backup is replaced when its link is down or silent for `Limits.backupPatience`;
/// a lag by bytes shows as that too, since the window to it is bounded.
public struct LedgerPrimary<Action: Sendable>: Sendable {
    public private(set) var copy: LedgerCopy
    public let term: Term
    public private(set) var viewNumber: UInt64
    public private(set) var committed: UInt64
    private(set) var followers: [Follower] = []
    /// The learner that the voters were asked to list, in this view.
    private var joint: StoreHolder?
    private var isJointFailed = false
    /// Up to here the entries are of earlier terms.
    private let inherited: UInt64
    /// Up to here this node's own journal holds the entries.
    private var durable: UInt64 = 0
    /// Up to here the entries were handed to the journal.
    private var written: UInt64
    private var actions: Deque<(sequence: UInt64, action: Action)> = []
    private var uncommittedCost = 0
    /// Whole copies that it has begun to send.
    private var copiesBegun: UInt64 = 0
    private var uncommittedSizes: Deque<Int> = []

    /// Serves `copy` in `term`, which the view of `viewNumber` gave it.
    public init(_ copy: LedgerCopy, term: Term, viewNumber: UInt64) {
        precondition(term > copy.last.term, "a term is served once")
        self.copy = copy
        self.copy.see(term)
        self.term = term
        self.viewNumber = viewNumber
        inherited = copy.last.sequence
        // They came with a copy that is in the journal; how much of it is durable by now, the caller will tell.
        written = copy.last.sequence
        // What the copy knows to be committed stays so; the rest is when today's backups hold it.
        committed = copy.committed
    }

    public var id: LedgerID { copy.id }
    public var state: LedgerState { copy.state }

    /// Backups that hold everything that is committed.
    public var backups: [StoreHolder] { followers.lazy.filter(\.isBackup).map(\.holder) }

    /// The backups and the learner in transit: without their acknowledgement nothing is committed.
    private func isRequired(_ follower: Follower) -> Bool { follower.isBackup || follower.holder == joint }

    /// Too much is on its way to the backups: take no more.
    public var isCongested: Bool {
        copy.last.sequence - committed > UInt64(Limits.uncommittedEntries) || uncommittedCost > Limits.uncommittedBytes
    }

    // MARK: Writing

    /// Appends an event; `action` comes back once it is committed.
    public mutating func append(_ event: LedgerEvent, then action: Action? = nil) {
        let place = copy.append(event, in: term)
        uncommittedCost += event.cost
        uncommittedSizes.append(event.cost)
        if let action { actions.append((place.sequence, action)) }
    }

    /// What was appended and not handed to the journal yet; it is regarded as handed over.
    public mutating func takeUnwritten() -> [LedgerEntry] {
        guard written < copy.last.sequence else { return [] }
        defer { written = copy.last.sequence }
        // Nothing that is not durable is committed, and nothing that is not committed is dropped.
        return copy.entries(after: written, bytes: .max) ?? []
    }

    /// Whether the journal has still to say that it holds everything.
    public var awaitsDurability: Bool { durable < copy.last.sequence }

    /// The journal holds everything up to here.
    public mutating func madeDurable(upTo sequence: UInt64) { durable = max(durable, min(sequence, written)) }

    /// `action` comes back once all that was appended up to now is committed.
    public mutating func whenCommitted(_ action: Action) { actions.append((copy.last.sequence, action)) }

    public mutating func becomeDue(_ id: TaskID) { copy.becomeDue(id) }

    mutating func pruneKeys(at now: Instant) { copy.pruneKeys(at: now) }

    /// As new primary.
    mutating func settleLanes() { copy.settleLanes() }

    /// What is committed by now and was not taken before, in order.
    public mutating func takeCommitted() -> [Action] {
        advance()
        var ready: [Action] = []
        while let first = actions.first, first.sequence <= committed {
            ready.append(first.action)
            actions.removeFirst()
        }
        return ready
    }

    /// What hangs on entries that this primary can no longer commit.
    public mutating func takeUncommitted() -> [Action] {
        defer { actions.removeAll() }
        return actions.map(\.action)
    }

    private mutating func advance() {
        #if PLANTED_BUGS
        let durable = PlantedBug.isActive(.ackBeforeOwnDisk) ? copy.last.sequence : durable
        #endif
        var held = min(copy.last.sequence, durable)
        #if PLANTED_BUGS
        let listed = PlantedBug.isActive(.ackBeforeBackup) ? [] : followers
        let followers =
            PlantedBug.isActive(.oneBackupIsEnough)
            ? Array(listed.filter(isRequired).sorted { $0.acknowledged > $1.acknowledged }.prefix(1)) : listed
        #endif
        for follower in followers where isRequired(follower) { held = min(held, follower.acknowledged) }
        guard held > committed else { return }
        let firstOwn = max(committed, inherited)
        if held > firstOwn {
            for _ in firstOwn..<held { uncommittedCost -= uncommittedSizes.popFirst() ?? 0 }
        }
        committed = held
        copy.commit(upTo: held)
    }

    // MARK: Replicas

    /// Installs a view that still gives this ledger to this primary in this term: any request for an older one is void.
    public mutating func install(viewNumber: UInt64, backups: [StoreHolder]) {
        self.viewNumber = viewNumber
        // Who was released, or asked for and not listed (it may drain), has to be chosen anew: else it would be asked for in
        // every view again.
        let asked = joint
        followers.removeAll { ($0.isBackup || $0.holder == asked) && !backups.contains($0.holder) }
        joint = nil
        isJointFailed = false
        for index in followers.indices { followers[index].isBackup = backups.contains(followers[index].holder) }
        for backup in backups where !followers.contains(where: { $0.holder == backup }) {
            followers.append(Follower(holder: backup, isBackup: true))
        }
        // A learner that nobody was asked to list yet goes on learning.
        for index in followers.indices { followers[index].isReported = false }
    }

    public func isFollower(_ name: NodeName) -> Bool { followers.contains { $0.holder.name == name } }

    /// Starts to send everything to `learner`, unless there is one already.
    public mutating func addLearner(_ learner: StoreHolder) {
        guard !followers.contains(where: { $0.holder.name == learner.name }) else { return }
        followers.append(Follower(holder: learner, isBackup: false))
    }

    public var learner: StoreHolder? { followers.first { !$0.isBackup }?.holder }

    /// Backups and learners whose links are up get what is new: at most a window of requests each.
    public mutating func flush(isLinked: (NodeName) -> Bool, into effects: inout [ReplicationEffect]) {
        for index in followers.indices where isLinked(followers[index].holder.name) { fill(index, &effects) }
    }

    private mutating func fill(_ index: Int, _ effects: inout [ReplicationEffect]) {
        while followers[index].requestsUnderWay < Limits.replicationWindow {
            let holder = followers[index].holder
            let epoch = followers[index].epoch
            switch followers[index].progress {
            case .locating(isAsked: true):
                return
            case .locating(isAsked: false):
                followers[index].progress = .locating(isAsked: true)
                effects.append(.append(request(after: copy.last, []), to: holder, epoch: epoch))
            case .streaming(let sent):
                guard sent != copy.last else { return }
                guard let entries = copy.entries(after: sent.sequence, bytes: Limits.appendBytes) else {
                    return startCopy(index, &effects)
                }
                effects.append(.append(request(after: sent, entries), to: holder, epoch: epoch))
                followers[index].progress = .streaming(sent: entries.last?.place ?? sent)
            case .copying(let content, let next, let sent):
                if sent != copy.last, next > 0 {
                    guard let entries = copy.entries(after: sent.sequence, bytes: Limits.appendBytes) else {
                        return startCopy(index, &effects)
                    }
                    effects.append(.append(request(after: sent, entries), to: holder, epoch: epoch))
                    followers[index].progress = .copying(content, next: next, sent: entries.last?.place ?? sent)
                } else {
                    // Tasks that came since the copy was decided on are in its first chunk's place, so they belong to it too.
                    let content = next == 0 ? Follower.Content(of: state) : content
                    effects.append(.copy(chunk(index, content, next), to: holder, epoch: epoch))
                }
            }
            followers[index].requestsUnderWay += 1
        }
    }

    private mutating func startCopy(_ index: Int, _ effects: inout [ReplicationEffect]) {
        followers[index].epoch &+= 1
        followers[index].requestsUnderWay = 0
        followers[index].progress = .copying(Follower.Content(of: state), next: 0, sent: copy.last)
        fill(index, &effects)
    }

    private mutating func chunk(_ index: Int, _ content: Follower.Content, _ first: Int) -> CopyRequest {
        let ids = content.ids
        var records: [TaskRecord] = []
        var keys: [KeyBinding] = []
        var cost = 0
        var next = first
        while next < ids.count, cost < Limits.copyBytes {
            if let record = state[ids[next]] {
                records.append(record)
                cost += record.cost
            }
            next += 1
        }
        while next >= ids.count, next < content.count, cost < Limits.copyBytes {
            if let binding = state.keys[content.keys[next - ids.count]] {
                keys.append(binding)
                cost += binding.cost
            }
            next += 1
        }
        let isLast = next == content.count
        let place = copy.last
        if first == 0 {
            copiesBegun += 1
            followers[index].copyNumber = copiesBegun
        }
        // `next` is at least 1 from here on, also for an empty ledger: entries may follow.
        followers[index].progress =
            isLast ? .streaming(sent: place) : .copying(content, next: max(next, 1), sent: place)
        return CopyRequest(
            ledger: id, term: term, number: followers[index].copyNumber, isFirst: first == 0, isLast: isLast,
            place: place, records: records,
            keys: keys, committed: committed, forgottenUpTo: isLast ? state.forgottenUpTo : nil)
    }

    private func request(after place: Place, _ entries: [LedgerEntry], offerAfter: UInt64 = 0) -> AppendRequest {
        AppendRequest(
            ledger: id, term: term, previous: place, entries: entries, committed: committed, offerAfter: offerAfter)
    }

    // MARK: Answers

    /// What a reply calls for beside what is committed by it.
    public enum Answer: Sendable {
        case none
        /// A replica offers entries that this primary may not know: adopt them.
        case adopt([LedgerEntry])
        /// A higher term exists: this primary is deposed, whatever its view says.
        case sealed(Term)
    }

    public mutating func handle(
        _ reply: ReplicaReply, from name: NodeName, epoch: UInt32, at now: Instant,
        into effects: inout [ReplicationEffect]
    ) -> Answer {
        guard let index = followers.firstIndex(where: { $0.holder.name == name }), followers[index].epoch == epoch
        else {
            return .none
        }
        followers[index].requestsUnderWay -= 1
        followers[index].troubledSince = nil
        followers[index].silence = nil
        switch reply {
        case .held(let place):
            // A place that this log does not have would be a replica's error: it counts for nothing.
            guard place.sequence <= copy.last.sequence else { return .none }
            followers[index].acknowledged = max(followers[index].acknowledged, place.sequence)
            if case .locating = followers[index].progress { followers[index].progress = .streaming(sent: place) }
            ask(index, &effects)
            return .none
        case .copying:
            return .none
        case .sealed(let term):
            guard term > self.term else {
                // It is still in an earlier view, in which it has the ledger itself.
                followers[index].restart()
                followers[index].troubledSince = now
                return .none
            }
            return .sealed(term)
        case .mismatch(let last, let tail, let isWhole):
            followers[index].epoch &+= 1
            followers[index].requestsUnderWay = 0
            if copy.contains(last) == true, copy.entries(after: last.sequence, bytes: 1) != nil {
                followers[index].acknowledged = max(followers[index].acknowledged, last.sequence)
                followers[index].progress = .streaming(sent: last)
                return .none
            }
            if isWhole {
                followers[index].progress = .copying(Follower.Content(of: state), next: 0, sent: copy.last)
            } else if let end = tail.last?.place {
                followers[index].progress = .locating(isAsked: true)
                let request = request(after: copy.last, [], offerAfter: end.sequence)
                effects.append(.append(request, to: followers[index].holder, epoch: followers[index].epoch))
                followers[index].requestsUnderWay = 1
            }
            return tail.isEmpty ? .none : .adopt(tail)
        }
    }

    /// The learner holds enough: the voters may list it.
    private mutating func ask(_ index: Int, _ effects: inout [ReplicationEffect]) {
        let follower = followers[index]
        #if PLANTED_BUGS
        if PlantedBug.isActive(.learnerListedEarly), !follower.isBackup, joint == nil {
            joint = follower.holder
            return effects.append(.askToList(id, term, learner: follower.holder, view: viewNumber))
        }
        #endif
        guard !follower.isBackup, joint == nil, follower.acknowledged >= max(inherited, committed),
            case .streaming = follower.progress
        else { return }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.learnerNotAwaited) {
            return effects.append(.askToList(id, term, learner: follower.holder, view: viewNumber))
        }
        #endif
        joint = follower.holder
        effects.append(.askToList(id, term, learner: follower.holder, view: viewNumber))
    }

    /// The link broke, or the deadline passed: nobody knows what of it arrived.
    public mutating func requestFailed(to name: NodeName, epoch: UInt32, at now: Instant) {
        guard let index = followers.firstIndex(where: { $0.holder.name == name }), followers[index].epoch == epoch
        else {
            return
        }
        followers[index].restart()
        if followers[index].troubledSince == nil { followers[index].troubledSince = now }
    }

    public mutating func linkDown(_ name: NodeName, at now: Instant) {
        guard let index = followers.firstIndex(where: { $0.holder.name == name }) else { return }
        followers[index].restart()
        if followers[index].troubledSince == nil { followers[index].troubledSince = now }
    }

    /// Follower of a member that the view has replaced by another store, or that gossip calls gone.
    public mutating func remove(_ name: NodeName, at now: Instant, into effects: inout [ReplicationEffect]) {
        guard let index = followers.firstIndex(where: { $0.holder.name == name }) else { return }
        if followers[index].isBackup {
            report(index, &effects)
        } else {
            fail(index, &effects)
        }
    }

    /// Replicas that have been no good for too long are given up. Also repeats what was asked: a voter may have missed it.
    public mutating func sweep(at now: Instant, isLinked: (NodeName) -> Bool, into effects: inout [ReplicationEffect]) {
        for index in followers.indices.reversed() {
            let follower = followers[index]
            if !isLinked(follower.holder.name), follower.troubledSince == nil { followers[index].troubledSince = now }
            let isTroubled = followers[index].troubledSince.map { now - $0 > Limits.backupPatience } ?? false
            // A learner may take longer: nobody waits for it.
            let isSilent = followers[index].isSilent(at: now, longerThan: Limits.backupPatience)
            if isTroubled || isSilent && (follower.isBackup || follower.holder == joint) {
                if follower.isBackup { report(index, &effects) } else { fail(index, &effects) }
            }
        }
        guard let joint else { return }
        effects.append(
            isJointFailed
                ? .askFailed(id, term, learner: joint, view: viewNumber)
                : .askToList(id, term, learner: joint, view: viewNumber))
    }

    /// Whether `sweep` has nothing to look for until something else happens: everybody is linked and has everything.
    public func isAtRest(isLinked: (NodeName) -> Bool) -> Bool {
        let last = copy.last.sequence
        return committed == last && written == last && actions.isEmpty && joint == nil
            && followers.allSatisfy { follower in
                guard case .streaming = follower.progress else { return false }
                return follower.isBackup && follower.acknowledged == last && follower.requestsUnderWay == 0
                    && follower.troubledSince == nil && isLinked(follower.holder.name)
            }
    }

    private mutating func report(_ index: Int, _ effects: inout [ReplicationEffect]) {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.backupDroppedWithoutView) {
            followers.remove(at: index)
            return
        }
        #endif
        effects.append(.unreachable(id, term, backup: followers[index].holder, view: viewNumber))
        followers[index].isReported = true
    }

    /// A learner that is asked for stays required until a later view, whatever that says.
    private mutating func fail(_ index: Int, _ effects: inout [ReplicationEffect]) {
        if followers[index].holder == joint {
            isJointFailed = true
            effects.append(.askFailed(id, term, learner: followers[index].holder, view: viewNumber))
        } else {
            followers.remove(at: index)
        }
    }

    /// A learner whose request became void with a view, or that acknowledged before: ask now if it may be asked.
    public mutating func askAgain(into effects: inout [ReplicationEffect]) {
        for index in followers.indices { ask(index, &effects) }
    }
}

extension Limits {
    /// A backup whose link is down, or that acknowledges nothing for so long, is replaced.
    public static let backupPatience = Duration.seconds(1)
}

import DequeModule
import EventLoop
import Journal
import Primitives
package import TaskLedger
import Wire

/// The detached results that this node keeps, each as a file in its folder.
///
/// A file appears under its name when all of it is durable; what was not finished is removed at the next start. Nobody tells
/// a node to remove one: from time to time it asks those who own the tasks whether they still need it, and removes it when
/// one of them says that they do not, or when none of them knows the task. So a lost message, or an executor that dies
/// between keeping a result and reporting it, costs some disk for a while, and nothing else.
///
/// The same round looks after the results of this node's own tasks: if somebody who kept one has left, drains, or came back
/// with an empty disk, another node is given it, and the ledger is told (`NodeService.mend`). And it has the copies read and
/// compared with their checksums now and then (`ScrubPlan`): one that is damaged, or gone, is replaced in the same way.
actor ResultStore {
    nonisolated let node: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { node.scheduler.serialExecutor }

    private struct Kept {
        var byteCount: Int
        /// When its owner is asked (again) whether it is needed.
        var askAt: Instant
        /// When it came, or was handed over again, or when this process began: what nobody knows for long after that is removed.
        var since: Instant
    }

    /// What comes from another node, part by part.
    private struct Incoming {
        var byteCount: Int
        var bytes: [UInt8] = []
        var at: Instant
    }

    /// As long as all of this is the same, nothing is missing.
    private struct Mended: Equatable {
        var members: ResultHolders
        var copies: Int
        var changes: Int
    }

    private var kept: [ResultID: Kept] = [:]
    private var incoming: [ResultID: Incoming] = [:]
    /// Bytes that are on the disk, or on their way there.
    private(set) var byteCount = 0
    private var lastPart: UInt64 = 0
    private var loads = 0
    private var waiting: Deque<UnsafeContinuation<Void, Never>> = []
    private var timer: (any ScheduledAction)?
    private var isStopped = false
    private var isAsking = false
    private var isMending = false
    /// Results of this node's tasks that are being given to others, who are no holders yet.
    private(set) var mending: Set<ResultID> = []
    /// What things were like when all results of this node's tasks had their holders.
    private var mended: Mended?
    /// The last one that was given to others, or was to be: some cannot be mended any more, and must not keep the rest from it.
    private var lastMended: ResultID?
    private var plan: ScrubPlan
    private var isScrubsTurn = false
    /// Copies that are being compared with their checksums, and how often.
    private var compared: [ResultID: Int] = [:]

    /// - Parameter files: the names that were found in the folder.
    init(_ node: NodeContext, files: [String]) {
        self.node = node
        let now = node.now
        plan = ScrubPlan(every: node.configuration.scrubInterval, at: now)
        for name in files {
            guard let (id, count) = ResultFile.parse(name) else { continue }
            kept[id] = Kept(byteCount: count, askAt: now + Limits.resultPatience, since: now)
            byteCount += count
        }
    }

    var count: Int { kept.count }

    func start() { lookAfter() }

    func stop() {
        isStopped = true
        timer?.cancel()
    }

    // MARK: Keeping

    private func hasRoom(for count: Int) -> Bool {
        byteCount + count <= Limits.keptResultBytes && kept.count < Limits.keptResults
    }

    /// A part of a result, from whoever has run the task.
    func take(_ request: KeepRequest, reply: @escaping @Sendable (Bool) -> Void) {
        guard compared[request.id] == nil else { return reply(false) }
        if kept[request.id] != nil {
            renew(request.id)
            return reply(true)
        }
        let count = Int(request.byteCount)
        var whole = incoming.removeValue(forKey: request.id)
        if request.offset == 0 {
            guard incoming.count < Limits.incomingResults, hasRoom(for: count) else { return reply(false) }
            whole = Incoming(byteCount: count, at: node.now)
        }
        guard var whole, whole.byteCount == count, whole.bytes.count == Int(request.offset) else { return reply(false) }
        whole.bytes += request.part
        whole.at = node.now
        guard whole.bytes.count < count else { return keep(whole.bytes, as: request.id, completion: reply) }
        incoming[request.id] = whole
        reply(true)
    }

    /// - Parameter completion: false: there is no room for it, the disk fails, or the copy that is here may turn out to be
    ///   damaged just now.
    func keep(_ bytes: [UInt8], as id: ResultID, completion: @escaping @Sendable (Bool) -> Void) {
        guard !isStopped, compared[id] == nil, hasRoom(for: bytes.count) else { return completion(false) }
        lastPart += 1
        let part = ResultFile.part(lastPart)
        byteCount += bytes.count
        var operations: [FileOperation] = [.create(part, reserving: bytes.count), .append(part, bytes)]
        if node.configuration.sync != .never { operations.append(.sync(part)) }
        operations += [.rename(part, to: ResultFile.name(id, bytes.count)), .syncFolder]
        node.results.perform(operations) { [self] result in
            onLoop { $0.wrote(id, bytes.count, part, result, completion) }
        }
    }

    private func wrote(
        _ id: ResultID, _ count: Int, _ part: String, _ result: Result<Void, FileFailure>,
        _ completion: @Sendable (Bool) -> Void
    ) {
        switch result {
        case .success where kept[id] == nil:
            kept[id] = Kept(byteCount: count, askAt: node.now + Limits.resultPatience, since: node.now)
            completion(true)
        case .success:
            byteCount -= count
            renew(id)
            completion(true)
        case .failure(let failure):
            byteCount -= count
            node.logger.warning("a result cannot be kept here", metadata: ["reason": "\(failure.error)"])
            node.results.perform([.remove(part)]) { _ in }
            completion(false)
        }
    }

    /// Somebody counts on it from now on: what owners said before does not hold any more.
    private func renew(_ id: ResultID) {
        kept[id]?.since = node.now
        kept[id]?.askAt = node.now + Limits.resultPatience
    }

    private func remove(_ ids: [ResultID]) {
        for id in ids {
            guard let gone = kept.removeValue(forKey: id) else { continue }
            byteCount -= gone.byteCount
            node.logger.debug(
                "a result is not needed here any more", metadata: ["task": "\(id.task)", "token": "\(id.token)"])
            node.results.perform([.remove(ResultFile.name(id, gone.byteCount))]) { _ in }
        }
    }

    // MARK: Reading

    /// A part of a result from `offset` on; nil: it is not here. A disk that cannot be read now says nothing about that.
    func read(_ id: ResultID, from offset: Int, completion: @escaping @Sendable (Result<[UInt8]?, SystemError>) -> Void)
    {
        guard let file = kept[id], offset < file.byteCount else { return completion(.success(nil)) }
        node.results.load(
            ResultFile.name(id, file.byteCount), from: offset, count: Limits.resultPartBytes
        ) { [node] result in
            if case .failure(let error) = result {
                node.logger.error("a result cannot be read", metadata: ["task": "\(id.task)", "reason": "\(error)"])
            }
            completion(result)
        }
    }

    /// Few results are brought together at a time, since each may be large. Has to be followed by `endLoad`.
    func beginLoad() async {
        guard loads >= Limits.resultLoads else {
            loads += 1
            return
        }
        // Unchecked: of a node that ends nobody waits any longer.
        await withUnsafeContinuation { waiting.append($0) }
    }

    func endLoad() {
        if let next = waiting.popFirst() { next.resume() } else { loads -= 1 }
    }

    // MARK: From time to time

    private func lookAfter() {
        guard !isStopped else { return }
        let now = node.now
        for id in incoming.keys.sorted() where now - (incoming[id]?.at ?? now) > Limits.incomingPatience {
            incoming[id] = nil
        }
        askOwners()
        // One of them at a time: neither keeps the other from its turn, though there may always be something to mend.
        isScrubsTurn.toggle()
        if isScrubsTurn { scrub() }
        mend()
        scrub()
        timer = node.scheduler.schedule(after: Limits.resultRound) { [self] in onLoop { $0.lookAfter() } }
    }

    private func askOwners() {
        let isLeaving = node.colleagues.queue.onLoop { $0.isDraining }
        let due = kept.filter { $0.value.askAt <= node.now || isLeaving }.keys.sorted().prefix(Limits.askedResults)
        guard !isAsking, !due.isEmpty else { return }
        isAsking = true
        for id in due { kept[id]?.askAt = node.now + Limits.resultPatience }
        let service = NodeService(node)
        let askedAt = node.now
        Task.detached(executorPreference: node.handlerExecutor) { [self] in
            let needs = await service.needs(of: Array(due))
            node.scheduler.execute { self.onLoop { $0.learned(needs, askedAt: askedAt) } }
        }
    }

    private func learned(_ needs: [ResultID: ResultNeed], askedAt: Instant) {
        isAsking = false
        remove(
            needs.keys.sorted().filter { id in
                guard let file = kept[id], file.since < askedAt else { return false }
                #if PLANTED_BUGS
                if PlantedBug.isActive(.neededResultRemoved) { return true }
                #endif
                switch needs[id] {
                case .obsolete: return true
                // An outcome that names it may still be on its way to whoever comes to own the task.
                case .unknown: return node.now - file.since > Limits.unknownResultPatience
                case .needed, nil: return false
                }
            })
    }

    /// Only when something has changed among those who may keep results, or could not be mended before.
    private func mend() {
        let (members, copies, changes) = node.colleagues.queue.onLoop { queue in
            (queue.resultHolders, queue.wantedCopies, queue.owner.detachedChanges)
        }
        guard !isMending, let members else { return }
        let now = Mended(members: members, copies: copies, changes: changes)
        guard mended != now else { return }
        let broken = node.colleagues.queue.onLoop { $0.owner.detachedResults }.filter { item in
            item.result.holders.count { members.has($0) } < min(copies, members.alive.count)
        }.sorted { $0.id < $1.id }
        guard !broken.isEmpty else { return mended = now }
        let first = broken.firstIndex { item in lastMended.map { $0 < item.id } ?? true } ?? 0
        let batch = Array((broken[first...] + broken[..<first]).prefix(Limits.mendedResults))
        lastMended = batch.last?.id
        let service = NodeService(node)
        mend(batch) { id, result in
            await service.mend(id, result, among: members, copies: copies)
        }
    }

    /// One after the other. Who keeps them, and is asked meanwhile whether that is needed, is told so.
    ///
    /// - Parameter work: returns who keeps a result now, if those are others than before.
    private func mend(
        _ batch: [(id: ResultID, result: DetachedResult)],
        by work: @escaping @Sendable (ResultID, DetachedResult) async -> [StoreHolder]?
    ) {
        isMending = true
        mending = Set(batch.map(\.id))
        Task.detached(executorPreference: node.handlerExecutor) { [self, node] in
            for (id, result) in batch {
                let holders = await work(id, result)
                if let holders { node.scheduler.execute { self.onLoop { $0.moved(id, to: holders) } } }
            }
            node.scheduler.execute {
                self.onLoop { store in
                    store.isMending = false
                    store.mending = []
                }
            }
        }
    }

    private func moved(_ id: ResultID, to holders: [StoreHolder]) {
        node.logger.debug("others keep a result now", metadata: ["task": "\(id.task)", "holders": "\(holders)"])
        node.colleagues.queue.onLoop { queue in
            queue.owner.moved(id, to: holders)
            queue.turn()
        }
    }

    // MARK: Scrubbing

    /// Somebody was handed a damaged copy of a result of this node's task, or none.
    func doubt(_ id: ResultID) { plan.doubt(id) }

    private func scrub() {
        let (members, copies) = node.colleagues.queue.onLoop { ($0.resultHolders, $0.wantedCopies) }
        guard !isMending, let members else { return }
        var batch: [(id: ResultID, result: DetachedResult)] = []
        var bytes = 0
        while batch.count < Limits.scrubbedResults, bytes < Limits.scrubbedBytes {
            let next = plan.next(at: node.now) {
                node.colleagues.queue.onLoop { $0.owner.detachedResults.map(\.id) }
            }
            guard let next else { break }
            let known = node.colleagues.queue.onLoop { $0.owner.task(next.task)?.detachedResult }
            guard let known, known.id == next else { continue }
            batch.append(known)
            bytes += Int(known.result.byteCount)
        }
        guard !batch.isEmpty else { return }
        let service = NodeService(node)
        mend(batch) { id, result in
            let without = await service.scrub(id, result, among: members)
            guard !without.isEmpty else { return nil }
            return await service.mend(id, result, among: members, copies: copies, without: without)
        }
    }

    /// Reads what is kept here of a result, and gives it up if that is not what it should be.
    func scrub(_ request: ScrubRequest, completion: @escaping @Sendable (CopyState) -> Void) {
        guard let file = kept[request.id] else { return completion(.gone) }
        guard file.byteCount == Int(request.byteCount) else {
            giveUp(request.id)
            return completion(.gone)
        }
        compared[request.id, default: 0] += 1
        scrub(request, from: 0, CRC32C()) { [self] state in
            onLoop { store in
                store.compared[request.id, default: 1] -= 1
                if store.compared[request.id] == 0 { store.compared[request.id] = nil }
            }
            completion(state)
        }
    }

    private func scrub(
        _ request: ScrubRequest, from offset: Int, _ checksum: CRC32C,
        _ completion: @escaping @Sendable (CopyState) -> Void
    ) {
        read(request.id, from: offset) { [self] result in
            onLoop { store in
                guard case .success(let part) = result else { return completion(.unreadable) }
                var checksum = checksum
                checksum.update(part ?? [])
                let end = offset + (part?.count ?? 0)
                if let part, !part.isEmpty, end < Int(request.byteCount) {
                    return store.scrub(request, from: end, checksum, completion)
                }
                #if PLANTED_BUGS
                if PlantedBug.isActive(.damageOverlooked) { return completion(.whole) }
                #endif
                guard end == Int(request.byteCount), checksum.value == request.checksum else {
                    store.giveUp(request.id)
                    return completion(.gone)
                }
                completion(.whole)
            }
        }
    }

    /// What is left of it is of no use to anybody.
    private func giveUp(_ id: ResultID) {
        guard kept[id] != nil else { return }
        node.logger.error("a copy of a result is damaged", metadata: ["task": "\(id.task)", "token": "\(id.token)"])
        remove([id])
    }
}

/// Members that may keep results.
struct ResultHolders: Hashable, Sendable {
    /// Those that live and do not leave, ascending.
    var alive: [StoreHolder]
    /// Those of whom that is not sure now: what they have counts, and they get no more.
    var suspect: [StoreHolder]

    func has(_ holder: StoreHolder) -> Bool { alive.contains(holder) || suspect.contains(holder) }
}

/// The names of files with results. They tell the size, so that it need not be looked up.
package enum ResultFile {
    package static func checksum(_ bytes: [UInt8]) -> UInt32 { CRC32C.of(bytes) }

    private static let prefix = "result-"
    private static let unfinished = ".part"

    package static func name(_ id: ResultID, _ byteCount: Int) -> String {
        "\(prefix)\(id.task)-\(id.token.run)-\(id.token.term)-\(id.token.attempt)-\(byteCount)"
    }

    static func part(_ number: UInt64) -> String { "\(prefix)\(number)\(unfinished)" }

    /// Something that was not finished when the process ended.
    static func isLeftOver(_ name: String) -> Bool { name.hasPrefix(prefix) && name.hasSuffix(unfinished) }

    package static func parse(_ name: String) -> (id: ResultID, byteCount: Int)? {
        guard name.hasPrefix(prefix), let task = TaskID(name.dropFirst(prefix.count).prefix(36)) else { return nil }
        let numbers = name.dropFirst(prefix.count + 36).split(separator: "-")
        guard numbers.count == 4, let run = UInt32(numbers[0]), let term = UInt64(numbers[1]),
            let attempt = UInt32(numbers[2]), let count = Int(numbers[3]), (1...Limits.resultBytes).contains(count)
        else { return nil }
        let id = ResultID(task: task, token: Token(run: run, term: Term(term), attempt: attempt))
        return Self.name(id, count) == name ? (id, count) : nil
    }
}

extension Limits {
    /// Detached results of one node, and their bytes on its disk; beyond, others are asked to keep more.
    static let keptResults = 100_000
    static let keptResultBytes = 8 << 30
    /// Results that come from other nodes at a time, each up to `resultBytes`.
    static let incomingResults = 8
    /// The next part has to come within this.
    static let incomingPatience = Duration.seconds(30)
    /// Results that are brought together at a time.
    static let resultLoads = 8
    /// How often a node looks after what it keeps, and after the results of its tasks.
    static let resultRound = Duration.seconds(2)
    /// How often an owner is asked whether a result is needed; and how long after it came for the first time.
    static let resultPatience = Duration.seconds(60)
    /// What nobody knows is kept for so long: longer than a report of its outcome may be under way.
    static let unknownResultPatience = Duration.seconds(180)
    /// Results that are given to other nodes in one round.
    static let mendedResults = 64
    /// All large results of a node's tasks are compared with their checksums once in so long.
    static let scrubInterval = Duration.seconds(86_400)
    /// In one round; after the result that reaches the bytes there is no other one.
    static let scrubbedResults = 100
    static let scrubbedBytes = 8 << 20
    /// A holder has so long to read one result.
    static let scrubPatience = Duration.seconds(30)
}

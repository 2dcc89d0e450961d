import Journal
import Peers
import Primitives
import Service
import TaskLedger
import Views
import Wire

/// What came of asking those who keep a result.
enum LoadedResult: Sendable {
    case here([UInt8])
    /// Somebody who keeps it cannot be asked now.
    case away
    /// All have answered, and none of them has it any more: their disks were lost, or have damaged it.
    case lost
}

/// Results that are too large for a ledger: keeping them at several nodes, and getting them from there.
extension NodeService {
    /// Has a result kept by as many nodes as there are to be copies of a task: by this one, by those that hold the task, then
    /// by others. By fewer if there are no more with room; nil if there is none.
    func keep(_ bytes: [UInt8], of attempt: AttemptID) async -> DetachedResult? {
        let id = ResultID(task: attempt.id, token: attempt.token)
        let (alive, copies) = await actors.queue.resultPlan
        let ledger = await actors.views.view?.ledger(attempt.ledger)
        let near = [node.name] + (ledger.map { [$0.primary.name] + $0.backups.map(\.name) } ?? [])
        func rank(_ holder: StoreHolder) -> Int { near.firstIndex(of: holder.name) ?? near.count }
        var holders: [StoreHolder] = []
        #if PLANTED_BUGS
        if PlantedBug.isActive(.resultKeptByNobody), let me = alive.first(where: { $0.name == node.name }) {
            return DetachedResult(byteCount: UInt32(bytes.count), checksum: CRC32C.of(bytes), holders: [me])
        }
        #endif
        for holder in alive.sorted(by: { (rank($0), $0) < (rank($1), $1) }) where holders.count < copies {
            if await hand(bytes, id, to: holder) { holders.append(holder) }
        }
        guard !holders.isEmpty else { return nil }
        return DetachedResult(
            byteCount: UInt32(clamping: bytes.count), checksum: CRC32C.of(bytes), holders: holders.sorted())
    }

    /// True when the node has it on its disk.
    private func hand(_ bytes: [UInt8], _ id: ResultID, to holder: StoreHolder) async -> Bool {
        if holder.name == node.name {
            let results = actors.results
            return await withCheckedContinuation { continuation in
                node.scheduler.execute {
                    results.onLoop { $0.keep(bytes, as: id) { continuation.resume(returning: $0) } }
                }
            }
        }
        guard let peer = node.peers[holder.name] else { return false }
        var offset = 0
        while offset < bytes.count {
            let part = Array(bytes[offset..<min(offset + Limits.resultPartBytes, bytes.count)])
            let request = KeepRequest(
                id: id, byteCount: UInt32(clamping: bytes.count), offset: UInt32(clamping: offset), part: part)
            guard
                case .success(let answer) = await ask(
                    Frame(.keep, at: node.now) { $0.keepRequest(request) }, of: peer, within: Limits.partPatience),
                (try? answer.read(at: node.now) { reader throws(WireError) in try reader.bool() }) == true
            else { return false }
            offset += part.count
        }
        return true
    }

    /// From whichever of its holders can be asked. If some have it no more, or a damaged copy, its owner is told.
    func load(_ id: ResultID, _ result: DetachedResult) async -> LoadedResult {
        let (loaded, isDoubtful) = await bring(id, result)
        if isDoubtful { await doubt(id) }
        return loaded
    }

    private func bring(
        _ id: ResultID, _ result: DetachedResult
    ) async -> (result: LoadedResult, isDoubtful: Bool) {
        await actors.results.beginLoad()
        var loaded: [UInt8]?
        var isAnybodyAway = false
        var isDoubtful = false
        // From this node's own disk first.
        for holder in result.holders.sorted(by: { $0.name == node.name && $1.name != node.name }) where loaded == nil {
            switch await fetch(id, Int(result.byteCount), from: holder) {
            case .here(let bytes) where CRC32C.of(bytes) == result.checksum: loaded = bytes
            case .here:
                node.logger.error("a result is damaged", metadata: ["task": "\(id.task)", "at": "\(holder.name)"])
                isDoubtful = true
            case .lost: isDoubtful = true
            case .away: isAnybodyAway = true
            }
        }
        await actors.results.endLoad()
        if let loaded { return (.here(loaded), isDoubtful) }
        return (isAnybodyAway ? .away : .lost, isDoubtful)
    }

    private func fetch(_ id: ResultID, _ byteCount: Int, from holder: StoreHolder) async -> LoadedResult {
        var bytes: [UInt8] = []
        while bytes.count < byteCount {
            switch await part(of: id, at: bytes.count, from: holder) {
            case .here(let part):
                guard !part.isEmpty, bytes.count + part.count <= byteCount else { return .lost }
                if bytes.isEmpty { bytes.reserveCapacity(byteCount) }
                bytes += part
            case .lost: return .lost
            case .away: return .away
            }
        }
        return .here(bytes)
    }

    private func part(of id: ResultID, at offset: Int, from holder: StoreHolder) async -> LoadedResult {
        if holder.name == node.name {
            let results = actors.results
            let part = await withCheckedContinuation { continuation in
                node.scheduler.execute {
                    results.onLoop { $0.read(id, from: offset) { continuation.resume(returning: $0) } }
                }
            }
            guard case .success(let bytes) = part else { return .away }
            return bytes.map { .here($0) } ?? .lost
        }
        guard let peer = node.peers[holder.name] else { return .away }
        let request = ReadRequest(id: id, offset: UInt32(clamping: offset))
        guard
            case .success(let answer) = await ask(
                Frame(.read, at: node.now) { $0.readRequest(request) }, of: peer, within: Limits.partPatience)
        else { return .away }
        do throws(WireError) {
            let part = try answer.read(at: node.now) { reader throws(WireError) in try reader.resultPart() }
            return part.map { .here($0) } ?? .lost
        } catch {
            node.logger.warning("part of a result refused", metadata: ["from": "\(holder.name)", "reason": "\(error)"])
            return .away
        }
    }

    /// As clients see the task: with its result, wherever that is kept.
    func withResult(_ lookup: TaskLookup) async -> TaskLookup {
        guard case .found(var task) = lookup, let detached = task.detached, let token = task.finalToken else {
            return lookup
        }
        switch await load(ResultID(task: task.id, token: token), detached) {
        case .here(let bytes): task.result = bytes
        case .away: break
        case .lost: task.detached?.holders = []
        }
        return .found(task)
    }

    /// Gives a result to others in place of those who kept it and are gone.
    ///
    /// - Parameter without: holders whose copies are of no use. One that has lost its copy may get another.
    /// - Returns: who keeps it now; nil: nobody who has it can be asked, or nobody takes it.
    func mend(
        _ id: ResultID, _ result: DetachedResult, among members: ResultHolders, copies: Int,
        without: [StoreHolder: CopyState] = [:]
    ) async -> [StoreHolder]? {
        guard case .here(let bytes) = await bring(id, result).result else { return nil }
        var holders = result.holders.filter { members.has($0) && without[$0] == nil }
        let before = holders.count
        let takers = members.alive.filter { !holders.contains($0) && without[$0] != .unreadable }
        for holder in takers where holders.count < copies {
            if await hand(bytes, id, to: holder) { holders.append(holder) }
        }
        return holders.count > before ? holders.sorted() : nil
    }

    /// Has those who keep a result read it.
    ///
    /// - Returns: those whose copies are of no use. Of whoever does not answer nothing is known.
    func scrub(
        _ id: ResultID, _ result: DetachedResult, among members: ResultHolders
    ) async -> [StoreHolder: CopyState] {
        var found: [StoreHolder: CopyState] = [:]
        let request = ScrubRequest(id: id, byteCount: result.byteCount, checksum: result.checksum)
        for holder in result.holders where members.alive.contains(holder) {
            if let state = await scrub(request, at: holder), state != .whole { found[holder] = state }
        }
        return found
    }

    private func scrub(_ request: ScrubRequest, at holder: StoreHolder) async -> CopyState? {
        if holder.name == node.name {
            let results = actors.results
            return await withCheckedContinuation { continuation in
                node.scheduler.execute {
                    results.onLoop { $0.scrub(request) { continuation.resume(returning: $0) } }
                }
            }
        }
        guard let peer = node.peers[holder.name],
            case .success(let answer) = await ask(
                Frame(.scrub, at: node.now) { $0.scrubRequest(request) }, of: peer, within: Limits.scrubPatience)
        else { return nil }
        return try? answer.read(at: node.now) { reader throws(WireError) in try reader.copyState() }
    }

    /// Tells whoever owns the ledgers that the id hints at. If it is in another one by now, the next pass will find it.
    private func doubt(_ id: ResultID) async {
        guard let view = await actors.views.view else { return }
        let owners = view.ledgers.filter { TaskID.tag(of: $0.id) == id.task.ledgerTag }.map(\.primary.name)
        for name in Set(owners).sorted() {
            if name == node.name {
                await actors.results.doubt(id)
            } else if let peer = node.peers[name] {
                node.transport.send(Frame(.doubt, at: node.now) { $0.resultID(id) }, to: peer)
            }
        }
    }

    /// What the owners of tasks say of results that this node keeps. Nothing of those that somebody may know who cannot be asked.
    ///
    /// First whoever owns the ledgers that their ids hint at; then, for those that are not there, everybody.
    func needs(of ids: [ResultID]) async -> [ResultID: ResultNeed] {
        guard let view = await actors.views.view else { return [:] }
        var byOwner: [NodeName: [ResultID]] = [:]
        for id in ids {
            let hinted = view.ledgers.filter { TaskID.tag(of: $0.id) == id.task.ledgerTag }
            for name in Set(hinted.map(\.primary.name)).sorted() { byOwner[name, default: []].append(id) }
        }
        var found: [ResultID: ResultNeed] = [:]
        for (name, asked) in byOwner.sorted(by: { $0.key < $1.key }) {
            for (id, need) in zip(asked, await needs(of: asked, by: name) ?? []) where need != .unknown {
                found[id] = need
            }
        }
        let rest = ids.filter { found[$0] == nil }
        // Of a ledger that nobody serves nothing is known.
        guard !rest.isEmpty, view.ledgers.allSatisfy({ isAvailable($0, view) }) else { return found }
        var isKnownToAll = true
        for name in Set(view.ledgers.map(\.primary.name)).sorted() {
            guard let answers = await needs(of: rest, by: name) else {
                isKnownToAll = false
                continue
            }
            for (id, need) in zip(rest, answers) where need != .unknown { found[id] = need }
        }
        if isKnownToAll { for id in rest where found[id] == nil { found[id] = .unknown } }
        return found
    }

    private func needs(of ids: [ResultID], by name: NodeName) async -> [ResultNeed]? {
        let me = StoreHolder(name: node.name, store: node.profile.store)
        if name == node.name { return await actors.queue.needs(of: ids, by: me) }
        guard let peer = node.peers[name],
            case .success(let answer) = await ask(
                Frame(.needed, at: node.now) { writer in
                    writer.storeHolder(me)
                    writer.array(ids) { $0.resultID($1) }
                }, of: peer, within: .seconds(2)),
            let needs = try? answer.read(
                at: node.now,
                { reader throws(WireError) in
                    try reader.array(upTo: Limits.askedResults, "needs") { reader throws(WireError) in
                        try reader.resultNeed()
                    }
                }), needs.count == ids.count
        else { return nil }
        return needs
    }
}

extension TaskSnapshot {
    /// Here, or kept elsewhere.
    var anyResult: TaskResult? { result.map { .inline($0) } ?? detached.map { .detached($0) } }
}

extension LocalQueue {
    /// Nil: there is no view.
    var resultHolders: ResultHolders? {
        view.map { view in
            let members = possibleReplicas(view)
            return ResultHolders(alive: members.alive.sorted(), suspect: members.suspect.sorted())
        }
    }

    var wantedCopies: Int { max(1, Int(view?.settings.copies ?? 1)) }

    /// Who may keep a result, and how many are to.
    var resultPlan: (alive: [StoreHolder], copies: Int) {
        let me = StoreHolder(name: node.name, store: node.profile.store)
        let alive = resultHolders?.alive ?? []
        // Rather here than nowhere.
        return (alive.isEmpty ? [me] : alive, wantedCopies)
    }

    /// What this node, as their owner, says of results that somebody keeps.
    func needs(of ids: [ResultID], by holder: StoreHolder) -> [ResultNeed] {
        guard mayVouch else { return ids.map { _ in .needed } }
        let mending = node.colleagues.results.onLoop { $0.mending }
        return ids.map { mending.contains($0) ? .needed : owner.need(of: $0, by: holder) }
    }
}

extension Limits {
    /// One part of a result, there or back: the last one is synced.
    static let partPatience = Duration.seconds(5)
}

import Primitives
import Views

/// Ways to break rules R3 and R4 from outside of the machines. Each has to be caught.
enum FenceFlaw: String, CaseIterable {
    /// An answer counts from when it came, not from when its request was sent.
    case countFromReceipt
    /// A voter goes on answering whom it has helped to depose, until it installs the view.
    case answerAfterAccept
    /// A voter looks only at its own view, not at the asker's.
    case answerObsolete
    /// Voters who have accepted a view with other voters go on answering.
    case answerAcrossVoters
    /// A voter whose disk was wiped answers as the voter that it was.
    case blankVoterAnswers
    /// The process that starts anew as primary does not wait.
    case forgetRestAtStart
    /// The clock stood still while the machine slept, and nobody minds.
    case ignorePause
    /// A new primary does not wait.
    case restZero
    /// A new primary waits for 0.75 F.
    case restTooShort
    /// Only the last primary is waited for.
    case waitForLastOnly
    /// What a member held that was removed is given to others at once.
    case leasesRestNot
    /// Who has missed views keeps what it held: it may have been removed and listed again in between.
    case keepOverGap
}

/// A few nodes with the real machines (agreement, permit, duty, rests) around one ledger, where everything fails.
///
/// Clocks run up to 2 % apart; processes are stopped, machines sleep (their clocks stand still), nodes crash and come back
/// with or without their disk, the network falls apart, messages are lost and late; views take the ledger from one to
/// another, remove who is cut off, and change the voters. Whoever may start a task does, at every step. The rule: once
/// somebody has started one in some term, nobody does in an earlier one; and once what a removed process held was given to
/// others, that process begins nothing any more.
struct FenceCluster {
    enum Stillness { case no, stopped, asleep }

    struct Node {
        let name: NodeName
        /// How fast its clock runs.
        let rate: Double
        var disk: StoreID
        var formerDisk: StoreID
        var store: StoreID
        var durable = VoterRecord(generation: Generation(0))
        var machine: ViewAgreement?
        var process = 0
        var permit = StartPermit()
        var rests = LedgerRests(known: nil, at: .zero)
        /// What the node has installed, not only decided.
        var view: View?
        var isDraining = false
        var group = 0
        /// It does not hear what was decided.
        var isDeaf = false
        /// Nor anything else about views.
        var isAloof = false
        var writes: [(ticket: UInt64, record: VoterRecord)] = []
        var stillness = Stillness.no
        var stillSince = Instant.zero
        /// For how long its clock has stood still in all.
        var slept = Duration.zero
        /// What came while the process stood still.
        var backlog: [Happening] = []
        /// The view in which it last gave back all that it had not begun. It takes nothing that was given in an earlier one.
        var emptyIn: UInt64 = 0
        /// Members of views that it has installed, and the last of these views.
        var known: [NodeID: UInt64] = [:]

        var id: NodeID { NodeID(name: name, generation: durable.generation) }
        var isUp: Bool { machine != nil }
        var isAwake: Bool { isUp && stillness == .no }
        var address: Address { Address(host: name.rawValue, port: 1) }
        var member: Member {
            Member(
                id: id,
                profile: MemberProfile(
                    gossip: address, peer: address, http: address, disk: disk, store: store, slots: 1))
        }
    }

    /// What follows while a primary is being overthrown.
    enum Strike {
        /// Whoever has taken its place starts anew.
        case successor(of: NodeName)
        /// A voter loses its disk.
        case disk
        /// Only now the primary is to go.
        case unwanted(NodeName)
    }

    enum Happening {
        case deliver(ViewMessage, to: Int)
        case heard(UInt64, from: Int, to: Int)
        case ask(PermitRequest, from: Int, to: Int)
        case answer(PermitReply, from: Int, to: Int, process: Int)
        case written(Int, process: Int)
        case turn(Int)
        case round(Int, process: Int)
        case wake(Int)
        case restart(Int)
        case strike(Strike)
        case calm
        case meddle
        case fault
    }

    static let ledger = LedgerID(1)
    static let troubleBegins = Instant(nanoseconds: 3_000_000_000)
    static let settings = ViewAgreement.Settings(coldStart: .milliseconds(500), joins: false)

    let seed: UInt64
    let flaw: FenceFlaw?
    var random: SeededGenerator
    var nodes: [Node] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    var queue = EventQueue<Happening>()
    var isHealed = false
    /// All is well, or nothing has happened yet.
    var isQuiet: Bool { isHealed || now < Self.troubleBegins }
    var lossPercent = 0
    var hasWiped = false
    /// Members that a view was to have removed.
    var unwanted: Set<NodeName> = []
    /// Answers take long.
    var isSlow = false
    /// Those who hear of nothing are to be no voters any more.
    var isMigrating = false
    var trace: ((String) -> Void)?

    /// The latest term in which a task was started.
    private(set) var startedTerm = Term(0)
    /// What these held was given to others.
    private var revoked: Set<NodeID> = []
    /// How many terms had starts.
    private(set) var terms = 0

    init(seed: UInt64, flaw: FenceFlaw? = nil) {
        self.seed = seed
        self.flaw = flaw
        random = SeededGenerator(seed: seed)
        let count = Int.random(in: 2...6, using: &random)
        lossPercent = Int.random(in: 0...30, using: &random)
        for (index, letter) in "abcdef".prefix(count).enumerated() {
            guard let name = NodeName(String(letter)) else { continue }
            // The fastest and the slowest are 1.99 % apart.
            let rate = Double.random(in: 1...1.0199, using: &random)
            let disk = StoreID(UInt64(index) * 100 + 1)
            nodes.append(
                Node(
                    name: name, rate: index == 0 ? 1 : index == 1 ? 1.0199 : rate, disk: disk, formerDisk: disk,
                    store: StoreID(UInt64(index) * 100 + 50)))
        }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func milliseconds(_ range: ClosedRange<Int>) -> Duration {
        .microseconds(Int.random(in: range.lowerBound * 1000...range.upperBound * 1000, using: &random))
    }

    func log(_ text: @autoclosure () -> String) { trace?("\(now.nanoseconds / 1_000_000) ms: \(text())") }

    /// What the node's clock shows.
    func clock(_ index: Int) -> Instant {
        let node = nodes[index]
        let still = node.slept + (node.stillness == .asleep ? now - node.stillSince : .zero)
        let awake = (now - .zero) - still
        return Instant(nanoseconds: Int64(Double(awake.nanoseconds) * node.rate)) + .seconds(1000 * index)
    }

    // MARK: Running

    mutating func run() throws(Violation) {
        for index in nodes.indices {
            start(index)
            queue.add(.turn(index), at: now + milliseconds(1...10))
        }
        try handle(.found(ClusterID(high: 1, low: seed), ClusterSettings(copies: 5)), by: 0)
        queue.add(.meddle, at: now + .milliseconds(50))
        queue.add(.fault, at: Self.troubleBegins)
        let healAt = now + milliseconds(12_000...18_000)
        let end = healAt + .seconds(12)
        while let (at, happening) = queue.removeFirst() {
            now = at
            if !isHealed, now >= healAt { try heal() }
            if now >= end { return try judge() }
            try happen(happening)
        }
    }

    private mutating func happen(_ happening: Happening) throws(Violation) {
        switch happening {
        case .deliver(_, let index), .heard(_, _, let index), .ask(_, _, let index), .answer(_, _, let index, _),
            .written(let index, _), .round(let index, _), .turn(let index):
            guard nodes[index].stillness == .no else {
                nodes[index].backlog.append(happening)
                return
            }
            try live(happening)
            try startWhatMayBeStarted(index)
        case .wake(let index): try wake(index)
        case .restart(let index): if !nodes[index].isUp { start(index) }
        case .strike(let strike): if !isHealed { self.strike(strike) }
        case .calm: calm()
        case .meddle:
            queue.add(.meddle, at: now + (isQuiet ? milliseconds(50...100) : milliseconds(20...400)))
            try meddle()
        case .fault:
            guard !isHealed else { return }
            queue.add(.fault, at: now + milliseconds(50...2500))
            try fault()
        }
    }

    private mutating func live(_ happening: Happening) throws(Violation) {
        switch happening {
        case .deliver(let message, let index):
            if nodes[index].isDeaf, case .decided = message.body { return }
            if nodes[index].isAloof { return }
            try handle(.received(message), by: index)
        case .heard(let number, let from, let index):
            guard !nodes[index].isDeaf else { return }
            let (name, address) = (nodes[from].name, nodes[from].address)
            try handle(.heard(viewNumber: number, from: name, address: address), by: index)
        case .ask(let request, let from, let index):
            guard nodes[index].isUp else { return }
            let reply = answer(request, by: index)
            log("\(nodes[index].name) says \(reply.verdict) to \(request.asker) in \(request.view)")
            send(.answer(reply, from: index, to: from, process: nodes[from].process), from: index, to: from)
        case .answer(let reply, let from, let index, let process):
            guard nodes[index].process == process else { return }
            try take(reply, from: from, at: index)
        case .written(let index, let process):
            guard nodes[index].process == process, !nodes[index].writes.isEmpty else { return }
            let (ticket, record) = nodes[index].writes.removeFirst()
            nodes[index].durable = record
            try handle(.persisted(ticket: ticket), by: index)
        case .round(let index, let process):
            guard nodes[index].process == process else { return }
            try ask(index)
            let period = Double(Limits.fencePeriod.nanoseconds) / nodes[index].rate
            queue.add(.round(index, process: process), at: now + .nanoseconds(Int64(period)))
        case .turn(let index):
            queue.add(.turn(index), at: now + milliseconds(5...60))
            try handle(.tick, by: index)
            if chance(10) { try handle(.peers(peers(of: index)), by: index) }
            if chance(10), let number = nodes[index].view?.number {
                for other in nodes.indices where other != index {
                    send(.heard(number, from: index, to: other), from: index, to: other)
                }
            }
        case .wake, .restart, .strike, .calm, .meddle, .fault: break
        }
    }

    /// What gossip says: who is cut off seems dead.
    private func peers(of index: Int) -> [ViewAgreement.Peer] {
        nodes.map { node in
            ViewAgreement.Peer(
                id: node.id, disk: node.disk, address: node.address,
                isAlive: node.isAwake && node.group == nodes[index].group)
        }
    }

    /// - Parameter from: whose groups decide whether it arrives.
    mutating func send(_ happening: Happening, from: Int, to: Int) {
        guard nodes[from].group == nodes[to].group, isQuiet || !chance(lossPercent) else { return }
        var isLate = !isQuiet && chance(5)
        if isSlow, case .answer = happening { isLate = true }
        let delay = isQuiet ? milliseconds(1...5) : isLate ? milliseconds(100...1950) : milliseconds(1...40)
        queue.add(happening, at: now + delay)
    }

    mutating func handle(_ event: ViewAgreement.Event, by index: Int) throws(Violation) {
        guard var machine = nodes[index].machine else { return }
        var effects: [ViewAgreement.Effect] = []
        machine.handle(event, at: clock(index), into: &effects)
        nodes[index].machine = machine
        for effect in effects {
            switch effect {
            case .persist(let record, let ticket):
                nodes[index].writes.append((ticket, record))
                queue.add(.written(index, process: nodes[index].process), at: now + milliseconds(1...15))
            case .send(let message, let name, _):
                guard let to = nodes.firstIndex(where: { $0.name == name }) else { continue }
                send(.deliver(message, to: to), from: index, to: to)
            case .install(let view): try install(view, at: index)
            case .confirmed, .warm, .claim: break
            case .refused(let refusal, let name):
                throw Violation(seed: seed, what: "\(nodes[index].name) refuses \(refusal) of \(name)")
            }
        }
    }

    // MARK: The permit

    private func answer(_ request: PermitRequest, by index: Int) -> PermitReply {
        guard let machine = nodes[index].machine else { preconditionFailure("it is up") }
        var request = request
        var record = machine.record
        if flaw == .answerAfterAccept { record.accepted = nil }
        if flaw == .answerObsolete, let number = record.view?.number { request.view = max(request.view, number) }
        if flaw == .answerAcrossVoters, let voters = record.view?.voters { record.accepted?.view.voters = voters }
        var reply = machine.answer(request)
        reply.verdict = FenceDuty.verdict(on: request, by: record)
        if flaw == .blankVoterAnswers { reply.disk = nodes[index].formerDisk }
        return reply
    }

    private mutating func ask(_ index: Int) throws(Violation) {
        guard let view = nodes[index].view, view.member(nodes[index].id) != nil else { return }
        let number = nodes[index].permit.ask(at: clock(index))
        let request = PermitRequest(asker: nodes[index].id, view: view.number, number: number)
        for voter in view.voters {
            guard let to = nodes.firstIndex(where: { $0.name == voter.name }) else { continue }
            if to == index {
                try take(answer(request, by: index), from: index, at: index)
            } else {
                send(.ask(request, from: index, to: to), from: index, to: to)
            }
        }
    }

    private mutating func take(_ reply: PermitReply, from: Int, at index: Int) throws(Violation) {
        switch reply.verdict {
        case .granted:
            let number = flaw == .countFromReceipt ? nodes[index].permit.ask(at: clock(index)) : reply.number
            nodes[index].permit.granted(number, by: StoreHolder(name: nodes[from].name, store: reply.disk))
        case .outdated(let newest):
            guard from != index else { return }
            let (name, address) = (nodes[from].name, nodes[from].address)
            try handle(.heard(viewNumber: newest, from: name, address: address), by: index)
        case .withheld: break
        }
    }

    // MARK: Views

    private mutating func install(_ view: View, at index: Int) throws(Violation) {
        let wasListed = nodes[index].view?.member(nodes[index].id) != nil
        log("\(nodes[index].id) installs \(view.fenceSummary)")
        // What is true, and mostly known: who is down, who drains, who goes on as a later generation.
        let present = chance(70) ? nodes.map { (id: $0.id, isStopped: !$0.isUp || $0.isDraining) } : []
        if flaw == .waitForLastOnly, let before = nodes[index].view {
            nodes[index].rests = LedgerRests(known: before, at: .zero)
        }
        nodes[index].rests.install(view, at: clock(index)) { id in
            present.contains { $0.id == id ? $0.isStopped : $0.id.name == id.name && $0.id > id }
        }
        if view.number > (nodes[index].view?.number ?? 0) + 1, flaw != .keepOverGap {
            // It gives back what it has not begun.
            nodes[index].emptyIn = view.number
            revoked.remove(nodes[index].id)
        }
        nodes[index].view = view
        for member in view.members { nodes[index].known[member.id] = view.number }
        nodes[index].permit.install(view, as: nodes[index].id)
        if wasListed, view.member(nodes[index].id) == nil { comeBack(index) }
        try ask(index)
    }

    /// Removed although it lives: the process goes on as another generation.
    private mutating func comeBack(_ index: Int) {
        guard let machine = nodes[index].machine, !nodes[index].isDraining else { return }
        var record = machine.record
        record.generation = record.nextGeneration(millisecondsSince1970: UInt64(now.nanoseconds / 1_000_000))
        nodes[index].durable.generation = record.generation
        nodes[index].process += 1
        nodes[index].writes = []
        nodes[index].permit.revoke()
        nodes[index].machine = ViewAgreement(
            myself: nodes[index].member, record: record, installed: machine.installed,
            settings: Self.settings, seed: random.next())
        log("\(nodes[index].id) comes back")
        queue.add(.round(index, process: nodes[index].process), at: now)
    }

    mutating func start(_ index: Int) {
        var node = nodes[index]
        node.durable.generation = node.durable.nextGeneration(
            millisecondsSince1970: UInt64(now.nanoseconds / 1_000_000))
        node.process += 1
        node.writes = []
        node.backlog = []
        node.isDraining = false
        node.stillness = .no
        node.permit = StartPermit()
        node.known = [:]
        node.emptyIn = 0
        node.view = node.durable.view
        node.rests = LedgerRests(known: node.durable.view, at: flaw == .forgetRestAtStart ? .zero : clock(index))
        node.machine = ViewAgreement(
            myself: node.member, record: node.durable, settings: Self.settings,
            seed: random.next())
        if let view = node.view { node.permit.install(view, as: node.id) }
        nodes[index] = node
        log("\(node.id) starts in view \(node.durable.view?.number ?? 0)")
        queue.add(.round(index, process: node.process), at: now)
    }

    // MARK: The rule

    /// Whether the process may begin something that it holds.
    private func isPermitted(_ index: Int) -> Bool {
        let node = nodes[index]
        return node.isAwake && !node.isDraining && node.machine?.isConfirmed == true
            && node.view?.member(node.id) != nil && node.permit.isValid(at: clock(index))
    }

    private func isOver(_ rest: Instant?, _ index: Int) -> Bool {
        let margin: Duration = flaw == .restTooShort ? Limits.fenceRest - Limits.fence * 3 / 4 : .zero
        return rest.map { $0 - margin <= clock(index) } ?? true
    }

    /// The term in which the node may start tasks of the ledger; nil if it may not.
    private func term(servedBy index: Int) -> Term? {
        let node = nodes[index]
        guard isPermitted(index), let ledger = node.view?.ledger(Self.ledger), ledger.primary == node.member.replica
        else { return nil }
        let isRested = flaw == .restZero || isOver(node.rests.restsUntil(Self.ledger), index)
        return isRested ? ledger.term : nil
    }

    private mutating func startWhatMayBeStarted(_ index: Int) throws(Violation) {
        guard isPermitted(index) else { return }
        if revoked.contains(nodes[index].id) {
            throw Violation(seed: seed, what: "\(nodes[index].id) begins at \(now) what was given to others")
        }
        guard let term = term(servedBy: index) else { return }
        if term < startedTerm {
            throw Violation(
                seed: seed, what: "\(nodes[index].id) starts in term \(term) at \(now), after a start in \(startedTerm)"
            )
        }
        if term > startedTerm {
            log("\(nodes[index].id) starts in term \(term)")
            startedTerm = term
            terms += 1
        }
        for (id, last) in nodes[index].known where nodes[index].view?.member(id) == nil {
            // What was given to it then it has given back since.
            if nodes.contains(where: { $0.id == id && $0.emptyIn > last }) { continue }
            if flaw == .leasesRestNot || isOver(nodes[index].rests.restsUntil(leaseOf: id), index) {
                revoked.insert(id)
            }
        }
    }

    /// Everything has been well for a while.
    private func judge() throws(Violation) {
        func fail(_ what: String) throws(Violation) { throw Violation(seed: seed, what: what) }
        // With a voter's disk a majority may be lost for good: that is not what this is about.
        guard !hasWiped else { return }
        let newest = nodes.compactMap(\.view?.number).max() ?? 0
        for index in nodes.indices where !nodes[index].isDraining {
            let node = nodes[index]
            if node.view?.number != newest { try fail("\(node.id) is in view \(node.view?.number ?? 0) of \(newest)") }
            if !isPermitted(index) { try fail("\(node.id) has no leave though all is well") }
        }
        let served = nodes.indices.filter { term(servedBy: $0) != nil }
        if served.count != 1 { try fail("\(served.count) nodes serve the ledger") }
    }
}

extension View {
    fileprivate var fenceSummary: String {
        let ledgers = ledgers.map { "\($0.id).\($0.term) \($0.primary.name)" }.joined(separator: " ")
        return "\(number): \(members.map { "\($0.id)" }.joined(separator: " ")), voters "
            + "\(voters.map(\.name.rawValue).joined()), \(ledgers)"
    }
}

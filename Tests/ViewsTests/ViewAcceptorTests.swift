import Primitives
import Testing
import Views

/// A machine of node "a", and what it says.
struct Bench {
    var machine: ViewAgreement
    var effects: [ViewAgreement.Effect] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    var written: UInt64 = 0

    init(_ record: VoterRecord, myself: Member = member("a", generation: 9), settings: ViewAgreement.Settings = .init())
    {
        machine = ViewAgreement(myself: myself, record: record, settings: settings, seed: 1)
    }

    /// Has had its answers after the restart.
    mutating func confirm() {
        handle(.tick)
        for letter in ["b", "c"] {
            handle(.received(message(letter, 5, .current(asked: machine.myself.id.generation, isRunning: true))))
        }
    }

    /// Returns only what this event has caused. Writes stay open.
    @discardableResult
    mutating func handle(_ event: ViewAgreement.Event) -> [ViewAgreement.Effect] {
        effects = []
        machine.handle(event, at: now, into: &effects)
        for case .persist(_, let ticket) in effects { written = ticket }
        return effects
    }

    /// With every write done at once.
    @discardableResult
    mutating func handleAndWrite(_ event: ViewAgreement.Event) -> [ViewAgreement.Effect] {
        var all = handle(event)
        while all.contains(where: { if case .persist(_, written) = $0 { true } else { false } }) {
            let more = handle(.persisted(ticket: written))
            all = all.filter { if case .persist = $0 { false } else { true } } + more
        }
        return all
    }

    mutating func receive(_ letter: String, _ number: UInt64, _ body: ViewMessage.Body, disk: UInt64? = nil)
        -> [ViewAgreement.Effect]
    {
        handleAndWrite(.received(message(letter, number, body, disk: disk)))
    }
}

func message(_ letter: String, _ number: UInt64, _ body: ViewMessage.Body, disk: UInt64? = nil, cluster: UInt64 = 7)
    -> ViewMessage
{
    let from = member(letter, disk: disk)
    return ViewMessage(
        cluster: ClusterID(high: cluster, low: 7),
        sender: .init(id: from.id, disk: from.profile.disk, address: from.profile.peer), number: number, body: body)
}

func ballot(_ round: UInt64, _ letter: String) -> Ballot {
    Ballot(round: round, generation: Generation(letter == "a" ? 9 : 1), name: name(letter))
}

extension [ViewAgreement.Effect] {
    /// `b:promise 2.b`, `install 6`: what the tables compare. Writes are left out.
    var summary: String {
        compactMap { effect in
            switch effect {
            case .persist: nil
            case .send(let message, let name, _):
                switch message.body {
                case .prepare(let x): "\(name):prepare \(x.round).\(x.name)"
                case .promise(let x, let accepted):
                    "\(name):promise \(x.round).\(x.name)"
                        + (accepted.map { "(\($0.ballot.round).\($0.ballot.name))" } ?? "")
                case .propose(let x, _): "\(name):propose \(x.round).\(x.name)"
                case .accepted(let x): "\(name):accepted \(x.round).\(x.name)"
                case .refuse(let x, let y): "\(name):refuse \(x.round).\(x.name)<\(y.round).\(y.name)"
                case .decided(let view): "\(name):decided \(view.number)"
                case .wantView: "\(name):want \(message.number)"
                case .current: "\(name):current \(message.number)"
                }
            case .install(let view): "install \(view.number)"
            case .confirmed: "confirmed"
            case .warm: "warm"
            case .claim(let number, _): "claim \(number)"
            case .refused(let refusal, let name):
                switch refusal {
                case .foreignCluster: "\(name) foreign"
                case .invalidView: "\(name) invalid"
                case .conflictingView: "\(name) conflict"
                case .conflictingProposal: "\(name) two proposals"
                }
            }
        }.joined(separator: " ")
    }
}

/// The view before, and two that may follow.
enum Example {
    static let view = makeView("abcd", voters: "abc", ledgers: [ledger(1, "a", "b"), ledger(2, "b", "c")])
    static let next = following(view) { $0.ledgers[0].backups = [] }
    static let other = following(view) { $0.ledgers[1].backups = [] }

    static func following(_ view: View, _ change: (inout View) -> Void) -> View {
        var view = view
        view.number += 1
        change(&view)
        return view
    }

    static func record(promised: Ballot? = nil, accepted: (Ballot, View)? = nil) -> VoterRecord {
        VoterRecord(
            generation: Generation(8), view: view, promised: promised,
            accepted: accepted.map { AcceptedView(ballot: $0.0, view: $0.1) })
    }
}

/// The acceptor's table: state x message.
@Suite struct ViewAcceptorTests {
    struct Case: CustomTestStringConvertible {
        let title: String
        var record = Example.record()
        var from = "b"
        var disk: UInt64?
        var number: UInt64 = 6
        var body: ViewMessage.Body
        var says: String
        /// Afterwards.
        var promised: Ballot?
        var accepted: Ballot?
        var testDescription: String { title }
    }

    static let (one, two, three) = (ballot(1, "b"), ballot(2, "b"), ballot(3, "c"))

    static let cases: [Case] = [
        Case(title: "first prepare", body: .prepare(two), says: "b:promise 2.b", promised: two),
        Case(
            title: "prepare again", record: Example.record(promised: two), body: .prepare(two), says: "b:promise 2.b",
            promised: two),
        Case(
            title: "higher prepare", record: Example.record(promised: two), from: "c", body: .prepare(three),
            says: "c:promise 3.c", promised: three),
        Case(
            title: "lower prepare", record: Example.record(promised: three), body: .prepare(two),
            says: "b:refuse 2.b<3.c", promised: three),
        Case(
            title: "prepare after accepting", record: Example.record(promised: two, accepted: (two, Example.next)),
            from: "c", body: .prepare(three), says: "c:promise 3.c(2.b)", promised: three, accepted: two),
        Case(
            title: "propose unprepared", body: .propose(two, Example.next), says: "b:accepted 2.b", promised: two,
            accepted: two),
        Case(
            title: "propose as promised", record: Example.record(promised: two), body: .propose(two, Example.next),
            says: "b:accepted 2.b", promised: two, accepted: two),
        Case(
            title: "lower propose", record: Example.record(promised: three), body: .propose(two, Example.next),
            says: "b:refuse 2.b<3.c", promised: three),
        Case(
            title: "propose again", record: Example.record(promised: two, accepted: (two, Example.next)),
            body: .propose(two, Example.next), says: "b:accepted 2.b", promised: two, accepted: two),
        Case(
            title: "another proposal in one ballot",
            record: Example.record(promised: two, accepted: (two, Example.next)),
            body: .propose(two, Example.other), says: "b two proposals", promised: two, accepted: two),
        Case(
            title: "higher propose replaces", record: Example.record(promised: two, accepted: (two, Example.next)),
            from: "c", body: .propose(three, Example.other), says: "c:accepted 3.c", promised: three, accepted: three),
        Case(
            title: "proposal that may not follow",
            body: .propose(
                two,
                Example.following(Example.view) {
                    $0.ledgers[0].primary = member("b").replica; $0.ledgers[0].backups = []
                }),
            says: "b invalid"),
        Case(title: "prepare in another's name", body: .prepare(three), says: ""),
        Case(title: "propose in another's name", body: .propose(three, Example.next), says: ""),
        Case(title: "prepare of a wiped voter", disk: 1, body: .prepare(two), says: ""),
        Case(title: "propose of a wiped voter", disk: 1, body: .propose(two, Example.next), says: ""),
        Case(title: "prepare of a member that does not vote", from: "d", body: .prepare(ballot(1, "d")), says: ""),
        Case(title: "prepare for the own view", number: 5, body: .prepare(two), says: "b:decided 5"),
        Case(title: "propose for an older view", number: 3, body: .propose(two, Example.next), says: "b:decided 5"),
        Case(title: "prepare for a later view", number: 8, body: .prepare(two), says: "b:want 5"),
        Case(title: "late promise", number: 5, body: .promise(one, accepted: nil), says: ""),
        Case(title: "late acceptance", number: 5, body: .accepted(one), says: ""),
        Case(title: "promise to nobody", body: .promise(one, accepted: nil), says: ""),
        Case(title: "acceptance of nothing", body: .accepted(one), says: ""),
        Case(title: "refusal of nothing", body: .refuse(one, promised: two), says: ""),
        Case(title: "want of an older view", number: 4, body: .wantView, says: "b:decided 5"),
        Case(title: "want of what there is", number: 5, body: .wantView, says: "b:current 5"),
        Case(title: "want of more than there is", number: 6, body: .wantView, says: "b:current 5"),
        Case(title: "decided: the own view", number: 5, body: .decided(Example.view), says: ""),
    ]

    @Test(arguments: cases) func acceptorAnswers(example: Case) {
        var bench = Bench(example.record)
        bench.handleAndWrite(.tick)  // the question of a restarted node
        #expect(bench.receive(example.from, example.number, example.body, disk: example.disk).summary == example.says)
        #expect(bench.machine.record.promised == example.promised ?? example.record.promised)
        #expect(bench.machine.record.accepted?.ballot == example.accepted ?? example.record.accepted?.ballot)
    }

    @Test func wipedVoterDoesNotVote() {
        for myself in [member("a", generation: 9, disk: 1), member("d")] {
            var bench = Bench(Example.record(), myself: myself)
            #expect(!bench.machine.isVoter)
            bench.handle(.tick)
            #expect(bench.receive("b", 6, .prepare(Self.two)).summary == "")
            #expect(bench.receive("b", 6, .propose(Self.two, Example.next)).summary == "")
            bench.handle(.desired(Example.next))
            bench.now += .seconds(10)
            #expect(!bench.handle(.tick).summary.contains("prepare"))
        }
    }

    @Test func voteLeavesOnlyWhenItIsOnDisk() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        #expect(bench.handle(.received(message("b", 6, .prepare(Self.two)))).summary == "")
        let first = bench.written
        // A repeated request does not slip past the write that is under way.
        #expect(bench.handle(.received(message("b", 6, .prepare(Self.two)))).summary == "")
        #expect(bench.written == first)
        #expect(bench.handle(.received(message("c", 6, .prepare(Self.three)))).summary == "")
        #expect(bench.written == first + 1)
        #expect(bench.handle(.persisted(ticket: first)).summary == "b:promise 2.b b:promise 2.b")
        #expect(bench.handle(.persisted(ticket: first + 1)).summary == "c:promise 3.c")
    }

    @Test func laterWriteStandsForEarlierOnes() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        bench.handle(.received(message("b", 6, .prepare(Self.two))))
        bench.handle(.received(message("c", 6, .prepare(Self.three))))
        #expect(bench.handle(.persisted(ticket: bench.written)).summary == "b:promise 2.b c:promise 3.c")
        #expect(bench.handle(.persisted(ticket: 1)).isEmpty)
    }

    @Test func answersThatWaitForASlowDiskAreBounded() {
        var bench = Bench(Example.record())
        bench.handle(.tick)
        for _ in 0..<500 { bench.handle(.received(message("b", 6, .prepare(Self.two)))) }
        #expect(bench.handle(.persisted(ticket: bench.written)).count == 128)
        #expect(bench.receive("b", 6, .prepare(Self.two)).summary == "b:promise 2.b")
    }

    @Test func persistedOfAnUnknownTicketReleasesNothingLater() {
        var bench = Bench(Example.record())
        bench.handle(.persisted(ticket: .max))
        #expect(bench.handle(.received(message("b", 6, .prepare(Self.two)))).summary == "")
    }

    @Test func anotherClusterIsRefused() {
        var bench = Bench(Example.record())
        let foreign = message("b", 6, .prepare(Self.two), cluster: 8)
        #expect(bench.handle(.received(foreign)).summary.hasPrefix("b foreign"))
        #expect(bench.machine.record.promised == nil)
    }
}

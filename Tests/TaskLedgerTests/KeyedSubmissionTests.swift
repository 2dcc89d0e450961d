import Primitives
import Testing

@testable import TaskLedger

/// Tasks with keys at their home: what is accepted, repeated or refused, and in which order they run.
@Suite struct KeyedSubmissionTests {
    static let allSlots = Set((0...255).map { KeySlot(rawValue: $0) })

    static func bench(slots: Int = 4, backups: [StoreHolder] = []) -> OwnerBench {
        var bench = OwnerBench(slots: slots, backups: backups)
        bench.install(view: 2, backups: backups, slots: allSlots)
        return bench
    }

    static func spec(
        key: String? = nil, body: UInt64 = 1, order: String? = nil, window: UInt64 = 60_000, delay: UInt64 = 0
    ) -> TaskSpec {
        var spec = TaskSpec(type: "t")
        spec.idempotency = key.map { .init(key: $0, body: BodyDigest(high: 0, low: body), window: window) }
        spec.orderingKey = order
        spec.delay = delay
        return spec
    }

    struct Step: Sendable {
        var spec: TaskSpec
        /// Milliseconds after the step before.
        var after: Int64 = 0
        var expected: KeyedDecision
    }

    static let table: [(title: String, steps: [Step])] = [
        (
            "the same request again, and another one",
            [
                Step(spec: spec(key: "k"), expected: .accepted(Sample.task(0))),
                Step(spec: spec(key: "k"), expected: .repeated(Sample.task(0))),
                Step(spec: spec(key: "k", body: 2), expected: .conflict(Sample.task(0))),
                Step(spec: spec(key: "l", body: 2), expected: .accepted(Sample.task(3))),
            ]
        ),
        (
            "the key is free again when its time is up",
            [
                Step(spec: spec(key: "k", window: 1000), expected: .accepted(Sample.task(0))),
                Step(spec: spec(key: "k", body: 2), after: 999, expected: .conflict(Sample.task(0))),
                Step(spec: spec(key: "k", body: 2), after: 1, expected: .accepted(Sample.task(2))),
                Step(spec: spec(key: "k"), expected: .conflict(Sample.task(2))),
            ]
        ),
        (
            "its time counts from when the task may start",
            [
                Step(spec: spec(key: "k", window: 1000, delay: 5000), expected: .accepted(Sample.task(0))),
                Step(spec: spec(key: "k", window: 1000, delay: 5000), after: 5999, expected: .repeated(Sample.task(0))),
            ]
        ),
        (
            "the same key with another ordering key is another key",
            [
                Step(spec: spec(key: "k", order: "a"), expected: .accepted(Sample.task(0))),
                Step(spec: spec(key: "k", order: "b"), expected: .accepted(Sample.task(1))),
                Step(spec: spec(key: "k", order: "a"), expected: .repeated(Sample.task(0))),
            ]
        ),
        (
            "ordering keys bind nothing",
            [
                Step(spec: spec(order: "a"), expected: .accepted(Sample.task(0))),
                Step(spec: spec(order: "a"), expected: .accepted(Sample.task(1))),
            ]
        ),
    ]

    @Test(arguments: table.indices) func whatIsDecided(row: Int) throws {
        let (title, steps) = Self.table[row]
        var bench = Self.bench()
        for (number, step) in steps.enumerated() {
            bench.now += .milliseconds(step.after)
            let decisions = try bench.submitKeyed(step.spec, id: Sample.task(UInt64(number)))
            #expect(decisions == [step.expected], "\(title), step \(number)")
        }
    }

    @Test func anIDThatWasAcceptedBeforeIsNotAcceptedAgain() throws {
        var bench = Self.bench()
        _ = try bench.submitKeyed(Self.spec(order: "a"), id: Sample.task(1))
        #expect(try bench.submitKeyed(Self.spec(order: "a"), id: Sample.task(1)) == [.repeated(Sample.task(1))])
        #expect(bench.owner.openCount == 1)
    }

    /// A copy does not say which tasks were forgotten, only that those up to some id may have been.
    @Test func anIDOfASlowClockIsNew() throws {
        var copy = LedgerCopy(id: Sample.ledger)
        copy.forgot(upTo: Sample.task(1000))
        var bench = OwnerBench()
        bench.stepDown()
        bench.install(view: 3, term: 2, copy: copy, slots: Self.allSlots)
        #expect(try bench.submitKeyed(Self.spec(order: "a"), id: Sample.task(7)) == [.accepted(Sample.task(7))])
        #expect(
            try bench.submitKeyed(Self.spec(order: "a"), id: Sample.task(8), isAgain: true) == [
                .unknown(Sample.task(8))
            ])
        #expect(
            try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(9), isAgain: true) == [.accepted(Sample.task(9))]
        )
    }

    @Test func onlyTheHomeDecides() {
        var bench = Self.bench()
        let spec = Self.spec(key: "k")
        bench.install(view: 3, slots: Self.allSlots.subtracting([KeySlot(of: "k", in: .idempotency)]))
        #expect(throws: KeyedRefusal.notHome) { try bench.submitKeyed(spec, id: Sample.task(1)) }
        #expect(throws: KeyedRefusal.notHome) {
            try bench.owner.submit(
                [spec], ids: [Sample.task(1)], isAgain: [false], home: LedgerID(9), request: 1, at: bench.now)
        }
        #expect(bench.owner.openCount == 0)
    }

    @Test func nothingIsAnsweredBeforeItsBindingIsCommitted() throws {
        let backup = Sample.replica("b")
        var bench = Self.bench(backups: [backup])
        _ = try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(1))
        _ = try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(2))
        bench.collect()
        #expect(!bench.effects.contains { if case .accepted = $0 { true } else { false } })
    }

    @Test func aTakeoverKnowsTheKeys() throws {
        var bench = Self.bench()
        _ = try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(1))
        let attempt = try #require(bench.turn().starts.first).attempt
        bench.report(attempt, .completed([]))
        bench.collect()
        bench.effects = []
        bench.stepDown()
        let copy = try #require(
            bench.effects.lazy.compactMap { if case .deposed(let copy) = $0 { copy } else { nil } }.first)
        var other = Self.bench()
        other.stepDown()
        other.install(view: 3, term: 2, copy: copy, slots: Self.allSlots)
        #expect(try other.submitKeyed(Self.spec(key: "k"), id: Sample.task(5)) == [.repeated(Sample.task(1))])
        #expect(try other.submitKeyed(Self.spec(key: "k", body: 7), id: Sample.task(5)) == [.conflict(Sample.task(1))])
    }

    @Test func whatAnEarlierPrimaryAcceptedAloneIsNotAdoptedWhenItsKeyIsBound() throws {
        var bench = Self.bench()
        _ = try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(1))
        for (id, spec, isAdopted) in [
            (Sample.task(2), Self.spec(key: "k"), false), (Sample.task(3), Self.spec(key: "l"), true),
        ] {
            let acceptance = Acceptance(id: id, spec: spec, at: bench.now)
            bench.adopt([LedgerEntry(place: Sample.place(1, 9), event: .accepted(acceptance))])
            #expect((bench.owner.task(id) != nil) == isAdopted)
        }
        bench.install(view: 3, slots: [])
        let acceptance = Acceptance(id: Sample.task(4), spec: Self.spec(key: "m"), at: bench.now)
        bench.adopt([LedgerEntry(place: Sample.place(1, 9), event: .accepted(acceptance))])
        #expect(bench.owner.task(Sample.task(4)) == nil, "another ledger may have bound the key")
    }

    /// A workflow's key stands for all of it.
    @Test func aWorkflowIsAcceptedOnceUnderItsKey() throws {
        func specs(_ root: UInt64, body: UInt64 = 1) -> (specs: [TaskSpec], ids: [TaskID]) {
            let ids = (0..<3).map { Sample.task(root + $0) }
            var specs = [Self.spec(key: "k", body: body), TaskSpec(type: "t"), TaskSpec(type: "t")]
            for index in specs.indices {
                specs[index].workflow = WorkflowPart(
                    workflow: ids[0], ref: "\(index)", role: index == 0 ? .root(WorkflowPlan()) : .step)
            }
            return (specs, ids)
        }
        func submit(_ bench: inout OwnerBench, _ root: UInt64, body: UInt64 = 1) throws -> [KeyedDecision] {
            let (specs, ids) = specs(root, body: body)
            return try bench.owner.submit(
                specs, ids: ids, isAgain: [false, false, false], home: Sample.ledger, request: 1, at: bench.now)
        }
        var bench = Self.bench()
        #expect(try submit(&bench, 10) == [.accepted(Sample.task(10))])
        #expect(bench.owner.openCount == 3)
        #expect(try submit(&bench, 20) == [.repeated(Sample.task(10))])
        #expect(try submit(&bench, 20, body: 2) == [.conflict(Sample.task(10))])
        #expect(try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(30)) == [.repeated(Sample.task(10))])

        // What an earlier primary has accepted alone comes too late.
        let (late, ids) = specs(40)
        let acceptances = zip(ids, late).map { Acceptance(id: $0, spec: $1, at: bench.now) }
        bench.adopt([LedgerEntry(place: Sample.place(1, 9), event: .acceptedTogether(acceptances))])
        #expect(bench.owner.task(Sample.task(40)) == nil && bench.owner.openCount == 3)

        bench.owner.setRules(["default": QueueRules(maxLength: 3)])
        var other = Self.bench()
        other.owner.setRules(["default": QueueRules(maxLength: 2)])
        #expect(try submit(&other, 10) == [.queueFull(Sample.task(10))])
        #expect(other.owner.openCount == 0)
        #expect(try submit(&bench, 50) == [.repeated(Sample.task(10))], "what is known needs no room")
    }

    /// A full node tells what it knows, and takes nothing new.
    @Test func whatIsKnownNeedsNoRoom() throws {
        var bench = OwnerBench(maxQueued: 1)
        bench.install(view: 2, slots: Self.allSlots)
        _ = try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(1))
        #expect(try bench.submitKeyed(Self.spec(key: "k"), id: Sample.task(2)) == [.repeated(Sample.task(1))])
        #expect(try bench.submitKeyed(Self.spec(key: "k", body: 2), id: Sample.task(2)) == [.conflict(Sample.task(1))])
        #expect(throws: KeyedRefusal.full) { try bench.submitKeyed(Self.spec(key: "l"), id: Sample.task(2)) }
    }

    /// Keys whose time is up make room for new ones, though nothing has been bound since.
    @Test func aHomeThatIsFullOfVoidKeysTakesNewOnes() throws {
        var settings = TaskOwner.Settings(slots: 1)
        settings.maxKeys = 2
        var bench = OwnerBench()
        bench.owner = TaskOwner(me: Sample.me, settings: settings, seed: 1)
        bench.install(view: 2, slots: Self.allSlots)
        for number: UInt64 in 1...2 {
            _ = try bench.submitKeyed(Self.spec(key: "\(number)", window: 1000), id: Sample.task(number))
        }
        #expect(throws: KeyedRefusal.full) { try bench.submitKeyed(Self.spec(key: "3"), id: Sample.task(3)) }
        #expect(try bench.submitKeyed(Self.spec(order: "o"), id: Sample.task(4)) == [.accepted(Sample.task(4))])
        bench.now += .seconds(62)
        #expect(try bench.submitKeyed(Self.spec(key: "3"), id: Sample.task(3)) == [.accepted(Sample.task(3))])
    }

    @Test func keysAreForgottenLongAfterTheirTime() {
        var keys = KeyBindings()
        for number in 0..<100 {
            let binding = KeyBinding(
                name: KeyName(key: "\(number)"), body: BodyDigest(high: 0, low: 0), task: Sample.task(UInt64(number)),
                until: Sample.instant(1000))
            keys.bind(binding, at: .zero)
        }
        #expect(keys.count == 100)
        for number in 100..<200 {
            let binding = KeyBinding(
                name: KeyName(key: "\(number)"), body: BodyDigest(high: 0, low: 0), task: Sample.task(UInt64(number)),
                until: Sample.instant(900_000))
            keys.bind(binding, at: Sample.instant(61_001))
        }
        #expect(keys.count == 100)
        #expect(keys[KeyName(key: "99")] == nil && keys[KeyName(key: "100")] != nil)
    }
}

extension OwnerBench {
    mutating func submitKeyed(_ spec: TaskSpec, id: TaskID, isAgain: Bool = false) throws -> [KeyedDecision] {
        try owner.submit([spec], ids: [id], isAgain: [isAgain], home: Sample.ledger, request: 1, at: now)
    }
}

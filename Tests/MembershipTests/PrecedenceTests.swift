import Primitives
import Testing

@testable import Membership

/// The table state x rumor: member `b` of generation 10 is in a state at incarnation 5, then a rumor comes.
@Suite struct PrecedenceTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let state: MemberState
        let rumor: Rumor
        let result: MemberState
        let incarnation: UInt32

        var testDescription: String { "\(state) + \(rumor.state)(\(rumor.incarnation)) = \(result)" }
    }

    static func rumors(_ incarnation: UInt32) -> [Rumor] {
        [alive("b", incarnation), suspect("b", incarnation), dead("b", incarnation), left("b", incarnation)]
    }

    /// Written out: what each rumor kind at a lower, the same and a higher incarnation leads to.
    static let table: [Case] = {
        func row(_ state: MemberState, _ results: [[(MemberState, UInt32)]]) -> [Case] {
            zip([4, 5, 6], results).flatMap { incarnation, row in
                zip(rumors(incarnation), row).map {
                    Case(state: state, rumor: $0, result: $1.0, incarnation: $1.1)
                }
            }
        }
        // Columns: alive, suspect, dead, left. Rows: incarnation 4, 5, 6.
        return row(
            .alive,
            [
                [(.alive, 5), (.alive, 5), (.dead, 5), (.left, 5)],
                [(.alive, 5), (.suspect, 5), (.dead, 5), (.left, 5)],
                [(.alive, 6), (.suspect, 6), (.dead, 6), (.left, 6)],
            ])
            + row(
                .suspect,
                [
                    [(.suspect, 5), (.suspect, 5), (.dead, 5), (.left, 5)],
                    [(.suspect, 5), (.suspect, 5), (.dead, 5), (.left, 5)],
                    [(.alive, 6), (.suspect, 6), (.dead, 6), (.left, 6)],
                ])
            + row(
                .dead,
                [
                    [(.dead, 5), (.dead, 5), (.dead, 5), (.left, 5)],
                    [(.dead, 5), (.dead, 5), (.dead, 5), (.left, 5)],
                    [(.dead, 5), (.dead, 5), (.dead, 5), (.left, 6)],
                ])
            + row(
                .left,
                [
                    [(.left, 5), (.left, 5), (.left, 5), (.left, 5)],
                    [(.left, 5), (.left, 5), (.left, 5), (.left, 5)],
                    [(.left, 5), (.left, 5), (.left, 5), (.left, 5)],
                ])
    }()

    static func rig(_ state: MemberState) -> Rig {
        var rig = Rig(peers: ["c", "d", "e"])
        _ = rig.hear([alive("b", 5)], from: "b")
        switch state {
        case .alive: break
        case .suspect: _ = rig.hear([suspect("b", 5, by: "c")], from: "c")
        case .dead: _ = rig.hear([dead("b", 5, by: "c")], from: "c")
        case .left: _ = rig.hear([left("b", 5)], from: "c")
        }
        return rig
    }

    @Test(arguments: table)
    func rumorOfTheSameGeneration(_ row: Case) throws {
        var rig = Self.rig(row.state)
        #expect(rig.state("b") == row.state)
        let effects = rig.hear([row.rumor], from: "c")
        let record = try #require(rig.machine.member(name("b")))
        #expect(record.state == row.result)
        #expect(record.incarnation == Incarnation(row.incarnation))
        let expected = row.state == row.result ? [] : [Change(id: id("b"), was: row.state, state: row.result)]
        #expect(effects.changes == expected)
    }

    @Test(arguments: MemberState.allCases, 0..<4)
    func newsOfAnOlderGenerationChangesNothing(_ state: MemberState, _ kind: Int) {
        var rig = Self.rig(state)
        let before = rig.machine.member(name("b"))
        let rumors = [
            alive("b", 99, generation: 9), suspect("b", 99, generation: 9), dead("b", 99, generation: 9),
            left("b", 99, generation: 9),
        ]
        let effects = rig.hear([rumors[kind]], from: "c")
        #expect(rig.machine.member(name("b")) == before)
        #expect(effects.changes.isEmpty)
        #expect(!rig.machine.queue.contains(rumors[kind]))
    }

    @Test func whoSpreadsAnOlderGenerationIsToldOfTheNewer() {
        var rig = Self.rig(.alive)
        let effects = rig.hear([alive("b", 0, generation: 9)], from: "c")
        #expect(effects.rumors(to: "c").first == alive("b", 5))
    }

    @Test(arguments: MemberState.allCases)
    func aNewerGenerationReplacesTheOlderAtOnce(_ state: MemberState) throws {
        var rig = Self.rig(state)
        let effects = rig.hear([alive("b", 0, generation: 11)], from: "c")
        let record = try #require(rig.machine.member(name("b")))
        #expect(record.id == id("b", 11))
        #expect(record.state == .alive)
        #expect(record.incarnation == Incarnation(0))
        let end = state.isLiving ? [Change(id: id("b"), was: state, state: .dead)] : []
        #expect(effects.changes == end + [Change(id: id("b", 11), was: nil, state: .alive)])
        #expect(rig.machine.suspicions.isEmpty)
        #expect(rig.machine.livingOthers.count == 4)
    }

    @Test(arguments: [MemberState.alive, .suspect], 0..<3)
    func anyNewsOfANewerGenerationEndsTheOlder(_ state: MemberState, _ kind: Int) {
        var rig = Self.rig(state)
        let rumors = [suspect("b", generation: 11), dead("b", generation: 11), left("b", generation: 11)]
        let effects = rig.hear([rumors[kind]], from: "c")
        #expect(effects.changes == [Change(id: id("b"), was: state, state: .dead)])
        #expect(rig.machine.member(name("b"))?.id == id("b"))
    }

    @Test func anUnknownMemberComesInByItsOwnWordOnly() {
        var rig = Rig(peers: ["c"])
        for rumor in [suspect("b"), dead("b"), left("b")] {
            #expect(rig.hear([rumor], from: "c").changes == [])
            #expect(rig.state("b") == nil)
        }
        #expect(rig.hear([alive("b")], from: "c").changes == [Change(id: id("b"), was: nil, state: .alive)])
    }

    @Test func repeatedNewsIsNeitherAppliedNorSpreadAgain() {
        var rig = Rig(peers: ["b", "c"])
        _ = rig.run(for: .seconds(5), answering: ["b", "c"])
        #expect(rig.machine.queue.isEmpty)
        let effects = rig.hear([alive("b")], from: "c")
        #expect(effects.changes.isEmpty)
        #expect(rig.machine.queue.isEmpty)
    }

    @Test func aChangedProfileIsTakenWithAHigherIncarnationOnly() {
        var rig = Rig(peers: ["b"])
        #expect(rig.hear([alive("b", 0, slots: 9)], from: "b").changes == [])
        #expect(rig.machine.member(name("b"))?.profile.slots == 4)
        let effects = rig.hear([alive("b", 1, slots: 9)], from: "b")
        #expect(effects.changes == [Change(id: id("b"), was: .alive, state: .alive)])
        #expect(rig.machine.member(name("b"))?.profile.slots == 9)
    }

    @Test func aHigherIncarnationAloneIsSpreadButNoChange() {
        var rig = Rig(peers: ["b"])
        #expect(rig.hear([alive("b", 3)], from: "b").changes == [])
        #expect(rig.machine.queue.contains(alive("b", 3)))
    }

    @Test func whoBelievesInTheDeadIsTold() {
        var rig = Self.rig(.dead)
        #expect(rig.hear([alive("b", 9)], from: "c").rumors(to: "c").first == dead("b", 5, by: "a"))
    }

    @Test func aRefutedSuspicionIsOverAndANewOneStartsAnew() {
        var rig = Rig(peers: ["b", "c", "d"])
        _ = rig.hear([suspect("b", by: "c")], from: "c")
        _ = rig.run(for: .seconds(2), answering: ["b", "c", "d"])
        _ = rig.hear([alive("b", 1)], from: "b")
        #expect(rig.machine.suspicions.isEmpty)
        _ = rig.run(for: .seconds(10), answering: ["b", "c", "d"])
        #expect(rig.state("b") == .alive)
        _ = rig.hear([suspect("b", 1, by: "d")], from: "d")
        #expect(rig.machine.suspicions.map(\.accusers) == [[name("d")]])
    }

    @Test func sinceIsWhenTheStateBegan() {
        var rig = Rig(peers: ["b", "c", "d"])
        let joined = rig.now
        rig.now += .milliseconds(30)
        _ = rig.hear([alive("b", 1)], from: "b")
        #expect(rig.machine.member(name("b"))?.since == joined)
        rig.now += .milliseconds(30)
        _ = rig.hear([suspect("b", 1, by: "c")], from: "c")
        #expect(rig.machine.member(name("b"))?.since == rig.now)
    }
}

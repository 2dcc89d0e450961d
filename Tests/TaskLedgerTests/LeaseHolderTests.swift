import Primitives
import Testing

@testable import TaskLedger

/// The executor's machine.
@Suite struct LeaseHolderTests {
    static func assignment(_ task: UInt64, _ attempt: UInt32 = 1, isSolitary: Bool = false) -> Assignment {
        Assignment(
            ledger: Sample.ledger, id: Sample.task(task), token: Sample.token(attempt), spec: TaskSpec(type: "t"),
            isSolitary: isSolitary)
    }

    var holder = LeaseHolder(slots: 2)
    var effects: [LeaseEffect] = []

    mutating func take(_ assignments: [Assignment]) { holder.take(assignments, timestamp: Sample.at, into: &effects) }
    mutating func stop(_ assignment: Assignment) {
        holder.stop(assignment.attempt, timestamp: Sample.at, into: &effects)
    }
    mutating func end(_ assignment: Assignment, _ outcome: AttemptOutcome = .completed([])) {
        holder.ended(assignment.attempt, outcome, timestamp: Sample.at, into: &effects)
    }

    @Test mutating func slotsAreFilledInOrderAndOutcomesKeptUntilSettled() {
        let (a, b, c) = (Self.assignment(1), Self.assignment(2), Self.assignment(3))
        take([a, b, c])
        #expect(effects == [.run(a), .run(b)])
        #expect((holder.freeSlots, holder.heldCount, holder.runningCount) == (0, 1, 2))
        end(a)
        #expect(effects.dropFirst(2) == [.reportsReady, .run(c)])
        #expect(holder.unsettled == [AttemptReport(attempt: a.attempt, outcome: .completed([]))])
        end(a)
        #expect(holder.unsettled.count == 1)
        take([a])
        #expect(holder.heldCount == 0, "what was finished is not run again")
        holder.settled([a.attempt])
        #expect(holder.unsettled.isEmpty)
        end(b)
        end(c)
        holder.settled([b.attempt, c.attempt])
        #expect(holder.isIdle)
    }

    @Test mutating func whatWasDeniedIsNotRunWhenItComes() {
        let (a, later) = (Self.assignment(1, 2), Self.assignment(1, 3))
        let answer = holder.answer([a.attempt])
        #expect(answer.missing == [a.attempt])
        take([a, Self.assignment(1, 1)])
        #expect(effects.isEmpty)
        take([later])
        #expect(effects == [.run(later)])
        let second = holder.answer([later.attempt])
        #expect(second.held == [later.attempt])
    }

    @Test mutating func stoppingWhatIsHeldRunningFinishedOrUnknown() {
        let (a, b, c, d) = (Self.assignment(1), Self.assignment(2), Self.assignment(3), Self.assignment(4))
        take([a, b, c])
        effects = []
        stop(c)
        #expect(holder.unsettled == [AttemptReport(attempt: c.attempt, outcome: .stopped)])
        stop(a)
        #expect(effects == [.reportsReady, .stop(a.attempt)])
        #expect(holder.running[0]?.isStopped == true)
        end(b)
        stop(b)
        #expect(
            holder.unsettled.contains(AttemptReport(attempt: b.attempt, outcome: .completed([]))),
            "an earlier success wins")
        // Its grant is on the way: it must not run, and its owner must hear of it.
        stop(d)
        #expect(holder.unsettled.contains(AttemptReport(attempt: d.attempt, outcome: .stopped)))
        #expect(Set(holder.takeFresh().map(\.attempt)) == [b.attempt, c.attempt, d.attempt])
        #expect(holder.takeFresh().isEmpty, "each is new once")
        holder.settled([d.attempt])
        effects = []
        take([d])
        #expect(effects.isEmpty)
    }

    @Test mutating func solitaryTaskWaitsForAllSlotsAndKeepsOthersOut() {
        let (a, poison, b) = (Self.assignment(1), Self.assignment(2, isSolitary: true), Self.assignment(3))
        take([a, poison, b])
        #expect(effects == [.run(a)])
        end(a)
        #expect(effects.last == .run(poison))
        #expect(holder.freeSlots == 0)
        end(poison)
        #expect(effects.last == .run(b))
    }

    @Test mutating func nothingBeginsWhileFenced() {
        let (a, b, c) = (Self.assignment(1), Self.assignment(2), Self.assignment(3))
        take([a])
        holder.setFenced(true, timestamp: Sample.at, into: &effects)
        take([b, c])
        end(a)
        #expect(effects == [.run(a), .reportsReady], "what runs goes on, what waits does not begin")
        #expect(holder.heldCount == 2)
        holder.setFenced(false, timestamp: Sample.at, into: &effects)
        #expect(effects.dropFirst(2) == [.run(b), .run(c)])
    }

    @Test mutating func drainGivesBackWhatHasNotBegun() {
        let (a, b, c) = (Self.assignment(1), Self.assignment(2), Self.assignment(3))
        take([a, b, c])
        holder.release(into: &effects)
        #expect(holder.unsettled == [AttemptReport(attempt: c.attempt, outcome: .released)])
        #expect(holder.runningCount == 2)
        effects = []
        holder.release(into: &effects)
        #expect(effects.isEmpty)
    }

    @Test mutating func givenUpAttemptKeepsItsSlotAndReportsOnce() {
        let a = Self.assignment(1)
        take([a])
        holder.giveUp(a.attempt, .failed(Sample.failure), into: &effects)
        holder.giveUp(a.attempt, .stopped, into: &effects)
        #expect(holder.freeSlots == 1)
        end(a)
        #expect(holder.freeSlots == 2)
        #expect(holder.unsettled == [AttemptReport(attempt: a.attempt, outcome: .failed(Sample.failure))])
    }

    @Test mutating func barsAreBounded() {
        for number in 0...UInt64(Limits.bars) { _ = holder.answer([Self.assignment(number).attempt]) }
        take([Self.assignment(0), Self.assignment(1)])
        #expect(effects == [.run(Self.assignment(0))], "the oldest bar is forgotten, the next one is not")
    }
}

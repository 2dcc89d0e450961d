import Primitives
import Service
import TaskLedger
import Testing
import Views

@testable import Simulation

/// Schedules of real nodes on a virtual clock: what a cluster makes up for that was away, and what follows a home.
@Suite struct ScheduleTests {
    private final class Told<Value>: @unchecked Sendable { var value: Value? }

    private static func ask<Value: Sendable>(
        _ colony: Colony, at node: Int, _ body: @escaping @Sendable (any ClusterService) async -> Value
    ) -> Value? {
        let told = Told<Value>()
        colony.world.nodes[node].call(body) { told.value = $0 }
        _ = colony.until(.seconds(15)) { told.value != nil }
        return told.value
    }

    private static func whole(_ seed: UInt64, nodes: Int = 3) -> Colony {
        var settings = WorldSettings(seed: seed, nodes: nodes)
        // What has ended stays in the ledgers, and all clocks show the same.
        settings.hasRedis = false
        settings.drift = 0
        let colony = Colony(settings)
        #expect(colony.untilWhole())
        return colony
    }

    private static func draft(
        _ name: String = "s", every seconds: UInt64 = 10, catchUp: CatchUpPolicy = .none, jitter: UInt32 = 0
    ) -> ScheduleDraft {
        ScheduleDraft(
            name: name, timing: .interval(seconds * 1000), jitter: jitter, overlap: .queue, catchUp: catchUp,
            task: TaskSpec(
                type: SimulatedHandler.taskType, payload: HandlerScript(milliseconds: 5).payload,
                resultTTL: 86_400_000))
    }

    private static func set(_ colony: Colony, at node: Int, _ draft: ScheduleDraft) -> ScheduleReport? {
        switch ask(colony, at: node, { await $0.setSchedule(draft) }) {
        case .made(let report), .changed(let report): return report
        case let other:
            Issue.record("\(String(describing: other))")
            return nil
        }
    }

    /// The times that have a task, in seconds since the schedule began, ascending; with their number.
    private static func times(_ colony: Colony, _ report: ScheduleReport, at node: Int) -> [Int64] {
        var query = TaskQuery(limit: 1000)
        query.schedule = report.draft.name
        let wanted = query
        guard let page = ask(colony, at: node, { await $0.tasks(wanted) }) else { return [] }
        #expect(page.missing.isEmpty)
        return page.tasks.compactMap { task in
            task.spec.firing.map { ($0.time.milliseconds - report.changedAt.milliseconds) / 1000 }
        }.sorted()
    }

    /// Everybody is away from 35 s on for 300 s.
    @Test(arguments: [
        (CatchUpPolicy.none, 41 as UInt64), (.one, 42), (.all, 43),
    ])
    func whatWasMissedWhileAllWereAwayIsMadeUpForAsTheScheduleSays(catchUp: CatchUpPolicy, seed: UInt64) throws {
        let colony = Self.whole(seed)
        let report = try #require(Self.set(colony, at: 1, Self.draft(catchUp: catchUp)))
        colony.world.run(for: .seconds(34))
        for node in colony.world.nodes { node.crash(.kill) }
        colony.world.run(for: .seconds(300))
        for node in colony.world.nodes { node.start() }
        #expect(colony.untilWhole())
        colony.world.run(for: .seconds(12))
        let times = Self.times(colony, report, at: 2)
        #expect(Set(times).count == times.count, "each once: \(times)")
        let last = try #require(times.last)
        #expect(last >= 340)
        #expect(Array(times.prefix(3)) == [10, 20, 30])
        let late = times.filter { (31...(last - 90)).contains($0) }
        switch catchUp {
        case .none: #expect(late == [])
        case .one: #expect(times.count { $0 > 30 && $0 < last - 70 } <= 1 && times.count { $0 > 30 } >= 7)
        case .all: #expect(times == stride(from: 10, through: last, by: 10).map { $0 })
        }
    }

    @Test func itFiresOnceThoughItsHomeMovesToANodeThatJoins() throws {
        let colony = Self.whole(44)
        var reports: [ScheduleReport] = []
        // Some of them will move.
        for number in 0..<12 {
            reports.append(try #require(Self.set(colony, at: number % 3, Self.draft("s\(number)", every: 2))))
        }
        func homes() -> [NodeName?] {
            (Self.ask(colony, at: 0) { await $0.schedules(nil) } ?? []).map(\.home)
        }
        let before = homes()
        colony.world.run(for: .seconds(9))
        colony.world.addNode().start()
        #expect(
            colony.until(.seconds(60)) { colony.world.nodes[3].look { $0.view?.member($0.identity) != nil } ?? false })
        colony.world.run(for: .seconds(20))
        #expect(homes() != before, "some have another home")
        for report in reports {
            let times = Self.times(colony, report, at: 3)
            let last = try #require(times.last)
            #expect(times == stride(from: 2, through: last, by: 2).map { $0 }, "\(report.draft.name)")
            #expect(last >= 28)
        }
    }

    @Test func jitterDelaysTheTaskAndNotTheDecision() throws {
        let colony = Self.whole(45)
        let report = try #require(Self.set(colony, at: 0, Self.draft(every: 5, jitter: 4000)))
        colony.world.run(for: .seconds(42))
        let shown = try #require(Self.ask(colony, at: 2) { await $0.schedules("s") }?.first)
        #expect(shown.recent.count == 8)
        var delays: Set<Int64> = []
        for firing in shown.recent {
            guard case .fired(let id) = firing.outcome, let run = colony.world.observations.runs(of: id).first else {
                continue
            }
            let began = run.began.nanoseconds / 1_000_000 + 1_767_225_600_000
            let delay = began - firing.time.milliseconds
            #expect((-100...4200).contains(delay))
            delays.insert(delay / 200)
        }
        #expect(delays.count > 3, "as if at random: \(delays)")
        #expect(shown.next.count == 5 && shown.version == report.version)
    }

    @Test func aChangeOrAPauseForgetsWhatWasBefore() throws {
        let colony = Self.whole(46)
        _ = try #require(Self.set(colony, at: 0, Self.draft(catchUp: .all)))
        colony.world.run(for: .seconds(25))
        var paused = Self.draft(catchUp: .all)
        paused.isPaused = true
        let second = try #require(Self.set(colony, at: 1, paused))
        #expect(second.next.isEmpty)
        colony.world.run(for: .seconds(100))
        let third = try #require(Self.set(colony, at: 2, Self.draft(catchUp: .all)))
        #expect(third.version > second.version && third.createdAt < third.changedAt)
        colony.world.run(for: .seconds(25))
        let times = Self.times(colony, third, at: 0)
        #expect(times.count == 4 && times.suffix(2) == [10, 20])
        #expect(times.prefix(2).allSatisfy { $0 < -100 })
    }

    @Test func whatCannotBeIsToldAndChangesNothing() throws {
        let colony = Self.whole(47)
        var odd = Self.draft()
        odd.timing = .cron("0 9 * * *", timeZone: "Mars/Olympus")
        let (zone, type): (ScheduleDraft, ScheduleDraft) = {
            var type = Self.draft()
            type.task.type = "simulatd"
            return (odd, type)
        }()
        guard case .unknownTimeZone(let reason)? = Self.ask(colony, at: 0, { await $0.setSchedule(zone) }) else {
            Issue.record("a time zone that nobody knows")
            return
        }
        #expect(reason.contains("Mars/Olympus"))
        #expect(Self.ask(colony, at: 1) { await $0.setSchedule(type) } == .unknownTaskType(nearest: "simulated"))
        #expect(Self.ask(colony, at: 2) { await $0.deleteSchedule("s") } == .refused(.unknownSchedule))
        #expect(Self.ask(colony, at: 2) { await $0.schedules(nil) } == [])
    }
}

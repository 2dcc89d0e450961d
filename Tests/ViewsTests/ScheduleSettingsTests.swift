import Primitives
import Testing
import Views

/// Schedules as a part of the cluster's settings.
@Suite struct ScheduleSettingsTests {
    private let view = makeView("abc", voters: "abc", ledgers: [ledger(1, "a", "b"), ledger(2, "b", "c")])

    private func schedule(_ name: String, _ second: UInt64 = 30, bytes: Int = 10, since: Int64 = 5) -> ScheduleSettings
    {
        ScheduleSettings(
            name: name, timing: .interval(second * 1000), task: Array(repeating: 1, count: bytes),
            since: Timestamp(milliseconds: since))
    }

    private func next(after view: View, _ operations: SettingsOperation...) throws -> View {
        var observed = observations(alive: "abc")
        observed.changes = operations.enumerated().map {
            SettingsChange(id: UInt64($0.offset), view: view.number, operation: $0.element)
        }
        return try #require(ViewPlanner.next(after: view, observed))
    }

    private func refusals(_ view: View) -> [SettingsRefusal?] { view.settings.applied.map(\.refusal) }

    @Test func aChangeIsAVersionAndKeepsTheTimeOfCreation() throws {
        let made = try next(after: view, .schedule(schedule("s")))
        try made.validate(after: view)
        let first = try #require(made.settings.schedule("s"))
        #expect(first.version == made.number && first.createdAt == first.since)
        #expect(made.digest != view.digest)
        let changed = try next(after: made, .schedule(schedule("s", 60, since: 99)))
        let second = try #require(changed.settings.schedule("s"))
        #expect(second.version == changed.number && second.version > first.version)
        #expect(second.createdAt == first.createdAt && second.since == Timestamp(milliseconds: 99))
        #expect(second.timing == .interval(60_000))
    }

    @Test func aChangeThatChangesNothingIsNoVersion() throws {
        let made = try next(after: view, .schedule(schedule("s")))
        let again = try next(after: made, .schedule(schedule("s", since: 99)))
        #expect(again.settings.schedules == made.settings.schedules)
        #expect(refusals(again) == [nil, nil])
    }

    @Test func whatIsDeletedAndMadeAgainIsAnotherVersion() throws {
        let made = try next(after: view, .schedule(schedule("s")))
        let again = try next(after: made, .deleteSchedule("s"), .schedule(schedule("s")))
        #expect(again.settings.schedule("s")?.version == again.number)
        let gone = try next(after: again, .deleteSchedule("s"), .deleteSchedule("s"))
        #expect(gone.settings.schedules == [])
        #expect(refusals(gone).suffix(2) == [nil, .unknownSchedule])
    }

    @Test func theyStandInOrder() throws {
        let made = try next(after: view, .schedule(schedule("m")), .schedule(schedule("z")), .schedule(schedule("a")))
        #expect(made.settings.schedules.map(\.name) == ["a", "m", "z"])
        #expect(try next(after: made, .deleteSchedule("m")).settings.schedules.map(\.name) == ["a", "z"])
    }

    @Test func thereAreOnlySoManyAndOnlySoManyBytes() throws {
        var settings = ClusterSettings()
        for number in 0..<Limits.schedules {
            settings = try settings.applying(.schedule(schedule("s\(number)")), in: 7)
        }
        #expect(throws: SettingsRefusal.tooManySchedules) { try settings.applying(.schedule(schedule("t")), in: 7) }
        #expect(try settings.applying(.schedule(schedule("s5", 60)), in: 8).schedules.count == Limits.schedules)
        var large = ClusterSettings()
        while true {
            let name = "s\(large.schedules.count)"
            do throws(SettingsRefusal) {
                large = try large.applying(.schedule(schedule(name, bytes: Limits.scheduledTaskBytes)), in: 7)
            } catch {
                #expect(error == .schedulesTooLarge)
                break
            }
        }
        #expect(large.schedules.count == 15)
    }

    @Test(
        arguments: [
            { $0.timing = .interval(999) }, { $0.timing = .interval(UInt64(Limits.longestInterval) + 1) },
            { $0.timing = .cron("", timeZone: "UTC") }, { $0.timing = .cron("* * * * *", timeZone: "") },
            { $0.timing = .cron(String(repeating: "*", count: 257), timeZone: "UTC") },
            { $0.jitter = Limits.scheduleJitter + 1 }, { $0.task = [] },
            { $0.task = Array(repeating: 0, count: Limits.scheduledTaskBytes + 1) },
            { $0.inherited = .init(rawValue: 8) }, { $0.since = Timestamp(milliseconds: -1) },
            { $0.createdAt = Timestamp(milliseconds: .max) },
        ] as [@Sendable (inout ScheduleSettings) -> Void])
    func whatBreaksABoundIsRefused(change: @Sendable (inout ScheduleSettings) -> Void) throws {
        var bad = schedule("s")
        change(&bad)
        #expect(refusals(try next(after: view, .schedule(bad))) == [.invalid])
        var view = view
        view.settings.schedules = [bad]
        #expect(throws: ViewError.self) { try view.validate() }
    }

    @Test func aViewWhoseSchedulesAreOutOfOrderIsRefused() throws {
        var view = view
        view.settings.schedules = [schedule("b"), schedule("a")]
        #expect(throws: ViewError.self) { try view.validate() }
        view.settings.schedules = [schedule("a"), schedule("a")]
        #expect(throws: ViewError.self) { try view.validate() }
        view.settings.schedules = [schedule("a"), schedule("b")]
        try view.validate()
    }
}

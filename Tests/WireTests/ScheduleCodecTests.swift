import Primitives
import TaskLedger
import Testing
import Views

@testable import Wire

/// Schedules between nodes: golden bytes, round trips, refusals.
@Suite struct ScheduleCodecTests {
    private static let id = TaskID(high: 1, low: 2)
    private static let idBytes: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]

    private static let schedule: ScheduleSettings = {
        var schedule = ScheduleSettings(
            name: "s", timing: .cron("@daily", timeZone: "UTC"), jitter: 300, overlap: .replace, catchUp: .one,
            isPaused: true, inherited: [.maxRetries, .timeout], task: TaskSpec(type: "t").encoded,
            since: Timestamp(milliseconds: 3))
        schedule.version = 9
        schedule.createdAt = Timestamp(milliseconds: 2)
        return schedule
    }()

    private static func change(_ operation: SettingsOperation) -> SettingsChange {
        SettingsChange(id: 1, view: 2, operation: operation)
    }

    private func bytes(_ write: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter()
        write(&writer)
        return writer.bytes
    }

    private func decode<Value>(
        _ bytes: [UInt8], _ read: (inout ByteReader) throws(WireError) -> Value
    ) throws(WireError) -> Value {
        var reader = ByteReader(bytes)
        let value = try read(&reader)
        try reader.finish()
        return value
    }

    private func decodeChange(_ bytes: [UInt8]) throws(WireError) -> SettingsChange {
        try decode(bytes) { reader throws(WireError) in try reader.settingsChange() }
    }

    private static let head: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]

    @Test func changesHaveTheirGoldenBytes() throws {
        let task = TaskSpec(type: "t").encoded
        let golden: [UInt8] =
            Self.head + [10, 1, 0x73, 1, 6] + Array("@daily".utf8) + [3] + Array("UTC".utf8)
            + [0xAC, 2, 3, 2, 1, 5, UInt8(task.count)] + task + [9, 3, 2]
        #expect(bytes { $0.settingsChange(Self.change(.schedule(Self.schedule))) } == golden)
        #expect(try decodeChange(golden) == Self.change(.schedule(Self.schedule)))
        var every = Self.schedule
        every.timing = .interval(30_000)
        let interval: [UInt8] =
            Self.head + [10, 1, 0x73, 2, 0xB0, 0xEA, 1, 0xAC, 2, 3, 2, 1, 5, UInt8(task.count)] + task + [9, 3, 2]
        #expect(bytes { $0.settingsChange(Self.change(.schedule(every))) } == interval)
        #expect(try decodeChange(interval) == Self.change(.schedule(every)))
        let deletion: [UInt8] = Self.head + [11, 1, 0x73]
        #expect(bytes { $0.settingsChange(Self.change(.deleteSchedule("s"))) } == deletion)
        #expect(try decodeChange(deletion) == Self.change(.deleteSchedule("s")))
        for length in 0..<golden.count {
            #expect(throws: WireError.self) { try decodeChange(Array(golden[..<length])) }
        }
    }

    @Test(
        arguments: [
            { $0.task = [1, 2] }, { $0.task.append(0) }, { $0.timing = .interval(UInt64(Limits.longestInterval) + 1) },
            { $0.jitter = Limits.scheduleJitter + 1 },
            { $0.timing = .cron(String(repeating: "*", count: 257), timeZone: "UTC") },
            { $0.timing = .cron("@daily", timeZone: String(repeating: "a", count: 64)) },
            { $0.task = Array(repeating: 0, count: Limits.scheduledTaskBytes + 1) },
        ] as [@Sendable (inout ScheduleSettings) -> Void])
    func whatIsTooLargeOrNoTaskIsRefused(change: @Sendable (inout ScheduleSettings) -> Void) {
        var bad = Self.schedule
        change(&bad)
        let bytes = bytes { $0.settingsChange(Self.change(.schedule(bad))) }
        #expect(throws: WireError.self) { try decodeChange(bytes) }
    }

    @Test func statusesHaveTheirGoldenBytes() throws {
        let status = ScheduleStatus(
            name: "s", version: 9,
            recent: [
                PastFiring(time: Timestamp(milliseconds: 1), outcome: .fired(Self.id)),
                PastFiring(time: Timestamp(milliseconds: 2), outcome: .leftOut(Self.id)),
            ], problem: "p")
        let golden: [UInt8] = [1, 0x73, 9, 2, 1, 1] + Self.idBytes + [2, 2] + Self.idBytes + [1, 1, 0x70]
        #expect(bytes { $0.scheduleStatus(status) } == golden)
        let read: (inout ByteReader) throws(WireError) -> ScheduleStatus = { reader throws(WireError) in
            try reader.scheduleStatus()
        }
        #expect(try decode(golden, read) == status)
        var bad = golden
        bad[5] = 7
        #expect(throws: WireError.invalid("outcome of a firing")) { try decode(bad, read) }
        let long = ScheduleStatus(name: "s", version: 1, recent: [], problem: String(repeating: "ä", count: 600))
        let cut = try decode(bytes { $0.scheduleStatus(long) }, read)
        #expect(cut.problem?.utf8.count == Limits.scheduleProblemBytes)
    }

    @Test func aTaskIsReadAsItWasWritten() throws {
        let spec = TaskSpec(
            type: "t", payload: Array("[1]".utf8), priority: .high, queue: "q", expiry: 5,
            metadata: [.init(key: "a", value: "b")], fairnessKey: "f")
        #expect(try TaskSpec(encoded: spec.encoded) == spec)
        let task = spec.task(
            of: Firing(schedule: "s", version: 3, time: Timestamp(milliseconds: 5000)), delay: 2)
        #expect(try TaskSpec(encoded: task.encoded).firing == task.firing)
        #expect(throws: WireError.self) { try TaskSpec(encoded: spec.encoded + [0]) }
    }
}

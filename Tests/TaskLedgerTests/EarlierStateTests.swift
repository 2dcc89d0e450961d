import Primitives
import Testing

@testable import TaskLedger

/// The state at an earlier time is what the record said at that time.
@Suite struct EarlierStateTests {
    private static let id = Sample.task(1)
    private static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }
    /// The clocks of these tests began together.
    private static func wallClock(_ instant: Instant) -> Timestamp { at((instant - .zero).milliseconds) }

    /// What `state(at:)` has to say of a record as it is now.
    private static func present(_ record: TaskRecord) -> EarlierState {
        var state = EarlierState(status: record.status, priority: record.spec.priority)
        state.run = record.run
        state.attempt = record.begunAttempts
        state.interruptions = record.interruptions
        state.startedAt = record.startedAt
        state.worker = record.worker
        state.finishedAt = record.finishedAt
        state.due = record.due.map(wallClock)
        state.failure = record.failure
        state.isCancelRequested = record.isCancelRequested
        return state
    }

    /// A random life, with what it was like after each event; every event has a time of its own.
    private static func life(seed: UInt64, steps: Int) -> (record: TaskRecord, past: [(at: Timestamp, EarlierState)]) {
        var random = SeededGenerator(seed: seed)
        var spec = TaskSpec(type: "t")
        if Bool.random(using: &random) { spec.delay = 25 }
        var record = TaskRecord(
            Acceptance(
                id: id, spec: spec, enqueuedAt: .zero, due: spec.delay > 0 ? Sample.instant(25) : nil, expires: nil))
        var past = [(at: at(0), present(record))]
        for step in 1...steps {
            let now = Int64(step) * 10
            if let due = record.due, due <= Sample.instant(now) {
                record.becomeDue()
                // Of two states at one time, the later one is told.
                if due < Sample.instant(now) { past.append((at: wallClock(due), present(record))) }
            }
            record.apply(event(for: record, at: now, &random))
            past.append((at: at(now), present(record)))
        }
        return (record, past)
    }

    private static func event(for record: TaskRecord, at now: Int64, _ random: inout SeededGenerator) -> LedgerEvent {
        let choice = Int.random(in: 0..<6, using: &random)
        let due = choice < 3 ? nil : Sample.instant(now + Int64.random(in: 1...35, using: &random))
        switch record.status {
        case .scheduled, .pending, .blocked:
            if choice == 5 { return .changed(id, Priority(Int(now) % 10 + 1) ?? .low, due: due, at: at(now)) }
            if choice == 4 {
                return Bool.random(using: &random) ? .cancelled(id, at: at(now)) : .expired(id, at: at(now))
            }
            guard record.status == .pending else { return .duplicateDiscarded(id) }
            let token = Sample.token(record.attempts + 1, run: record.run)
            let holder = Sample.node("n\(choice)")
            return .leased(id, Lease(token: token, holder: holder, at: at(now), isStarted: choice > 1))
        case .processing:
            guard let lease = record.lease else { return .duplicateDiscarded(id) }
            let name = lease.holder.name
            switch choice {
            case 0 where !lease.isStarted: return .started(id, lease.token, at: at(now))
            case 0: return .cancelRequested(id, at: at(now))
            case 1: return .completed(id, lease.token, result: [1], by: name, at: at(now))
            case 2: return .failed(id, lease.token, Sample.finalFailure, by: name, at: at(now))
            case 3: return .interrupted(id, lease.token, isBlamed: lease.isStarted, at: at(now))
            default:
                return .rescheduled(
                    id, lease.token, Sample.failure, due: due ?? Sample.instant(now + 5), at: at(now))
            }
        case .completed, .failed, .cancelled, .expired:
            return .retried(id, run: record.run + 1, enqueuedAt: Sample.instant(now), at: at(now))
        }
    }

    @Test(arguments: 1...300 as ClosedRange<UInt64>)
    func isWhatItWas(seed: UInt64) throws {
        let (record, past) = Self.life(seed: seed, steps: 24)
        #expect(record.history.cut == 0)
        for (time, expected) in past {
            let lookup = record.state(at: time, wallClock: Self.wallClock)
            #expect(lookup == .found(expected), "seed \(seed) at \(time.milliseconds)")
        }
    }

    @Test(arguments: 1...100 as ClosedRange<UInt64>)
    func whatIsKeptIsToldAsItWasAndTheRestNotAtAll(seed: UInt64) throws {
        let (record, past) = Self.life(seed: seed, steps: 250)
        #expect(record.history.cut > 0)
        var told = 0
        for (time, expected) in past {
            switch record.state(at: time, wallClock: Self.wallClock) {
            case .found(let state):
                told += 1
                #expect(state.status == expected.status && state.run == expected.run)
                if expected.run == record.run { #expect(state.attempt == expected.attempt) }
                #expect(state.priority == expected.priority)
            case .notKept(let since): #expect(since > time)
            case .notAccepted: Issue.record("it was accepted first of all")
            }
        }
        #expect(told > 30 && told < past.count)
    }

    /// One that has taken the task over may have a clock that is behind that of the owner before.
    @Test(arguments: 1...300 as ClosedRange<UInt64>)
    func whateverClocksSayThePresentComesLast(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var record = TaskRecord(
            Acceptance(id: Self.id, spec: TaskSpec(type: "t"), enqueuedAt: .zero, due: nil, expires: nil))
        var latest: Int64 = 0
        for step in 1...20 {
            if record.due != nil { record.becomeDue() }
            // Another owner at each step.
            let now = Int64(step) * 10 + Int64.random(in: -80...80, using: &random)
            latest = max(latest, now)
            record.apply(Self.event(for: record, at: now, &random))
        }
        var present = Self.present(record)
        let time = Self.at(latest + 1000)
        if present.status == .scheduled {
            present.status = .pending
            present.due = nil
        }
        #expect(record.state(at: time, wallClock: Self.wallClock) == .found(present), "seed \(seed)")
    }

    @Test func beforeItWasAcceptedThereIsNothing() {
        let record = TaskRecord(Sample.acceptance(1))
        #expect(record.state(at: Self.at(-1), wallClock: Self.wallClock) == .notAccepted)
    }
}

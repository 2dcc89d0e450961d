import Primitives
import Testing

@testable import TaskLedger

/// Whoever is to be told of the end of a task is told by another task: one for each run, whoever dies meanwhile.
@Suite struct CallbackTests {
    static let url = "https://example.com/done?x=\"1\""

    static func spec(retries: UInt16 = 0) -> TaskSpec {
        var spec = TaskSpec(
            type: "t", priority: .high, queue: "q", retry: RetryPolicy(maxRetries: retries, backoff: .none),
            metadata: [TaskSpec.Label(key: "k", value: "\u{1}\"v\"")])
        spec.callbackURL = url
        return spec
    }

    static func deliveries(_ bench: OwnerBench) -> [TaskRecord] {
        let state = bench.owner.copy(of: Sample.ledger)?.state
        return (state?.sortedIDs ?? []).compactMap { state?[$0] }.filter(\.spec.isDelivery)
    }

    /// A turn of the node.
    @discardableResult static func turn(_ bench: inout OwnerBench) -> [Assignment] {
        bench.owner.callBack(at: bench.now)
        bench.owner.slotsFree(8)
        return bench.turn().starts
    }

    static func payload(_ record: TaskRecord?) -> String { String(decoding: record?.spec.payload ?? [], as: UTF8.self) }

    enum Ending: CaseIterable { case completed, failed, cancelled, cancelledWhileRunning, expired, poisoned }

    @Test(arguments: Ending.allCases) func everyEndIsToldOnce(ending: Ending) throws {
        var bench = OwnerBench(slots: 8)
        var spec = Self.spec()
        if ending == .expired { spec.expiry = 10 }
        let id = try #require(try bench.submit(spec).first)
        if ending == .expired { bench.now += .seconds(1) }
        let status: TaskStatus
        switch ending {
        case .completed:
            bench.report(try #require(bench.turn().starts.first).attempt, .completed(.inline(Array("[1.50]".utf8))))
            status = .completed
        case .failed:
            bench.report(try #require(bench.turn().starts.first).attempt, .failed(Sample.finalFailure))
            status = .failed
        case .cancelled:
            #expect(bench.cancel(id) == .cancelled)
            status = .cancelled
        case .cancelledWhileRunning:
            let attempt = try #require(bench.turn().starts.first).attempt
            #expect(bench.cancel(id) == .requested)
            bench.report(attempt, .stopped)
            status = .cancelled
        case .expired:
            bench.wake()
            status = .expired
        case .poisoned:
            for _ in 0..<Limits.interruptions {
                let attempt = try #require(bench.grant().first ?? bench.turn().starts.first)
                bench.owner.began([attempt.attempt], at: bench.now, timestamp: Sample.at)
                if bench.owner.task(id)?.lease?.holder == Sample.thief {
                    bench.install(view: 2, members: [Sample.me])
                    bench.install(view: 3)
                } else {
                    break
                }
            }
            if bench.status(id) == .processing, let lease = bench.owner.task(id)?.lease {
                bench.report(
                    AttemptID(ledger: Sample.ledger, id: id, token: lease.token), .failed(Sample.finalFailure))
            }
            status = .failed
        }
        #expect(bench.status(id) == status)
        #expect(Self.deliveries(bench).isEmpty, "nothing before the end is committed")
        bench.collect()
        let starts = Self.turn(&bench)
        let delivery = try #require(Self.deliveries(bench).first)
        #expect(starts.map(\.id) == [delivery.id])
        #expect(delivery.id == bench.owner.task(id)?.deliveryID)
        #expect(delivery.spec.queue == TaskSpec.deliveryQueue && delivery.spec.priority == .high)
        #expect(delivery.spec.retry == TaskSpec.deliveryRetry && delivery.spec.callbackURL == nil)
        #expect(Self.payload(delivery).contains("\"type\":\"task.\(status.name)\""))
        #expect(bench.owner.task(id)?.isCalledBack == true)
        #expect(bench.owner.derivedFault() == nil)
        // Its own end is told to nobody, and that of the task to nobody else.
        bench.report(try #require(starts.first).attempt, .completed(.inline(Array("1".utf8))))
        for _ in 0..<3 {
            bench.collect()
            Self.turn(&bench)
        }
        #expect(Self.deliveries(bench).count == 1)
        #expect(!bench.owner.owesCallbacks)
    }

    @Test func whatIsTold() throws {
        var bench = OwnerBench()
        let id = try #require(try bench.submit(Self.spec()).first)
        bench.report(try #require(bench.turn().starts.first).attempt, .completed(.inline(Array("{\"n\":1.50}".utf8))))
        bench.collect()
        Self.turn(&bench)
        let made = id.createdAt.rfc3339
        let message = """
            {"url":"https://example.com/done?x=\\"1\\"","message":{"type":"task.completed",\
            "timestamp":"1970-01-01T00:00:00.007Z","data":{"id":"\(id)","task_type":"t","queue":"q",\
            "status":"completed","run":1,"attempts":1,"created_at":"\(made)",\
            "started_at":"1970-01-01T00:00:00.007Z","finished_at":"1970-01-01T00:00:00.007Z","worker":"me",\
            "metadata":{"k":"\\u0001\\"v\\""},"result_bytes":10,"result":{"n":1.50}}}}
            """
        #expect(Self.payload(Self.deliveries(bench).first) == message)
    }

    @Test func anErrorIsToldAndAResultThatIsTooLargeIsNot() throws {
        var bench = OwnerBench(slots: 8)
        _ = try bench.submit(Self.spec(), Self.spec(), Self.spec())
        let starts = bench.turn().starts
        let result = Array(repeating: UInt8(ascii: "1"), count: Limits.toldResultBytes)
        bench.report(starts[0].attempt, .failed(Sample.finalFailure))
        bench.report(starts[1].attempt, .completed(.inline(result)))
        bench.report(starts[2].attempt, .completed(.inline(result + [UInt8(ascii: "1")])))
        bench.collect()
        Self.turn(&bench)
        let told = Self.deliveries(bench).map { Self.payload($0) }
        let failed = try #require(told.first { $0.contains("task.failed") })
        #expect(failed.hasSuffix("\"error\":{\"type\":\"e\",\"message\":\"m\",\"retryable\":false}}}}"))
        #expect(told.count { $0.contains("\"result\":1") } == 1)
        #expect(told.contains { $0.hasSuffix("\"result_bytes\":65537}}}") })
    }

    @Test func aRetryOfAnAttemptIsNoEndAndANewRunIsToldAgain() throws {
        var bench = OwnerBench()
        let id = try #require(try bench.submit(Self.spec(retries: 1)).first)
        bench.report(try #require(bench.turn().starts.first).attempt, .failed(Sample.failure))
        bench.collect()
        Self.turn(&bench)
        #expect(Self.deliveries(bench).isEmpty)
        bench.wake()
        bench.report(try #require(bench.turn().starts.first).attempt, .failed(Sample.failure))
        #expect(bench.carryOut(.retry, for: id) == .unsettled, "its end is not committed")
        bench.collect()
        #expect(bench.carryOut(.retry, for: id) == .unsettled, "nobody is told yet")
        let first = try #require(Self.turn(&bench).first)
        bench.report(first.attempt, .completed([0x31]))
        #expect(bench.carryOut(.retry, for: id) == .done)
        #expect(bench.owner.task(id)?.isCalledBack == false && bench.owner.task(id)?.deliveryID == nil)
        bench.report(try #require(bench.turn().starts.first).attempt, .completed([0x31]))
        bench.collect()
        let second = try #require(Self.turn(&bench).first)
        #expect(second.id != first.id, "another message")
        #expect(Self.payload(bench.owner.task(second.id)).contains("\"run\":2"))
        #expect(Self.deliveries(bench).count == 2)
    }

    /// Who takes the ledger over after the end was committed, and before anything was done about it, does it; who finds it done
    /// does nothing.
    @Test(arguments: [false, true]) func aTakeoverNeitherLosesNorRepeatsIt(isDoneBefore: Bool) throws {
        var bench = OwnerBench(slots: 8)
        let id = try #require(try bench.submit(Self.spec()).first)
        bench.report(try #require(bench.turn().starts.first).attempt, .completed([0x31]))
        bench.collect()
        if isDoneBefore {
            bench.owner.callBack(at: bench.now)
            bench.collect()
        }
        let copy = try #require(bench.owner.copy(of: Sample.ledger))
        var heir = OwnerBench(slots: 8)
        heir.stepDown()
        heir.install(view: 2, term: 2, copy: copy)
        for _ in 0..<3 {
            heir.collect()
            Self.turn(&heir)
        }
        let deliveries = Self.deliveries(heir)
        #expect(deliveries.map(\.id) == [heir.owner.task(id)?.deliveryID])
        #expect(deliveries.first?.status == .processing)
        #expect(heir.owner.derivedFault() == nil)
        // The registry was emptied: all is told again, to it alone.
        heir.archived(id)
        heir.owner.rewriteOutcomes()
        heir.collect()
        Self.turn(&heir)
        #expect(Self.deliveries(heir).count == 1)
    }

    @Test func whatADeposedPrimaryCouldNotCommitIsNotAdopted() throws {
        var bench = OwnerBench(slots: 8)
        let id = try #require(try bench.submit(Self.spec()).first)
        let attempt = try #require(bench.turn().starts.first).attempt
        let before = try #require(bench.owner.copy(of: Sample.ledger))
        bench.report(attempt, .completed([0x31]))
        bench.collect()
        bench.owner.callBack(at: bench.now)
        let tail = try #require(bench.owner.copy(of: Sample.ledger)?.entries(after: before.last.sequence, bytes: .max))
        #expect(tail.contains { if case .calledBack = $0.event { true } else { false } })
        var heir = OwnerBench(slots: 8)
        heir.stepDown()
        heir.install(view: 2, term: 2, copy: before)
        heir.adopt(tail)
        #expect(heir.status(id) == .completed)
        #expect(Self.deliveries(heir).isEmpty)
        heir.collect()
        Self.turn(&heir)
        #expect(Self.deliveries(heir).map(\.id) == [heir.owner.task(id)?.deliveryID])
    }

    @Test func itStartsWhenWhatMadeItIsCommitted() throws {
        var bench = OwnerBench(slots: 8, backups: [Sample.replica("b")])
        bench.install(view: 2)
        _ = try bench.submit(Self.spec())
        bench.report(try #require(bench.turn().starts.first).attempt, .completed([0x31]))
        bench.collect()
        bench.install(view: 3, backups: [Sample.replica("b")])
        #expect(Self.turn(&bench).isEmpty, "the backup has not acknowledged")
        #expect(Self.deliveries(bench).first?.status == .processing)
        bench.install(view: 4)
        #expect(bench.turn().starts.map(\.spec.type) == [TaskSpec.deliveryType])
    }

    @Test func anEndThatIsToBeToldIsNotForgotten() throws {
        var bench = OwnerBench(slots: 8, hasRegistry: false)
        var spec = Self.spec()
        spec.resultTTL = 1
        let id = try #require(try bench.submit(spec).first)
        bench.report(try #require(bench.turn().starts.first).attempt, .completed([0x31]))
        bench.collect()
        let late = Timestamp(milliseconds: 1_000_000)
        bench.owner.dropExpiredOutcomes(wallClock: late)
        #expect(bench.owner.task(id) != nil)
        Self.turn(&bench)
        bench.owner.dropExpiredOutcomes(wallClock: late)
        #expect(bench.owner.task(id) == nil)
        #expect(Self.deliveries(bench).count == 1, "what it tells goes with it")
    }

    @Test func aWorkflowIsToldOfAsAWhole() throws {
        var bench = OwnerBench(slots: 8)
        let ids = bench.owner.makeIDs(for: Sample.ledger, count: 2, microseconds: 1)
        var root = TaskSpec(type: "workflow")
        root.workflow = WorkflowPart(workflow: ids[0], ref: "", role: .root(WorkflowPlan()))
        root.callbackURL = Self.url
        var step = TaskSpec(type: "t")
        step.workflow = WorkflowPart(workflow: ids[0], ref: "a", role: .step)
        _ = try bench.owner.submit([root, step], ids: ids, request: 1, at: bench.now, microseconds: 1)
        bench.report(try #require(bench.turn().starts.first).attempt, .completed([0x31]))
        for _ in 0..<3 {
            bench.collect()
            bench.owner.advanceWorkflows(at: bench.now, timestamp: Sample.at, microseconds: 2)
        }
        bench.collect()
        Self.turn(&bench)
        let told = Self.deliveries(bench)
        #expect(told.count == 1)
        #expect(Self.payload(told.first).contains("\"type\":\"workflow.completed\""))
    }

    @Test func theMessageIsNamedByTheEnd() {
        let id = TaskID(high: 0x0199_0000_0000_7000, low: 1 << 63 | 3 << 42 | 77)
        let at = Timestamp(milliseconds: 1_700_000_000_123)
        let made = TaskID(after: id, run: 1, endedAt: at)
        #expect(made == TaskID(after: id, run: 1, endedAt: at))
        #expect(made.createdAt == at && made.ledgerTag == id.ledgerTag)
        #expect(made.high >> 12 & 0xF == 7 && made.low >> 62 == 2, "a UUID of version 7")
        #expect(made != TaskID(after: id, run: 2, endedAt: at))
        #expect(made != TaskID(after: TaskID(high: id.high, low: id.low + 1), run: 1, endedAt: at))
        #expect(TaskID(after: id, run: 1, endedAt: Timestamp(milliseconds: -5)).createdAt.milliseconds == 0)
    }
}

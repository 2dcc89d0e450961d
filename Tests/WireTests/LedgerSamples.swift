import Primitives
import TaskLedger

/// Random values, small ones more often, for tests of codecs.
extension SeededGenerator {
    mutating func some<Value>(_ draw: (inout SeededGenerator) -> Value) -> [Value] {
        (0..<Int.random(in: 0...4, using: &self)).map { _ in draw(&self) }
    }

    mutating func maybe<Value>(_ draw: (inout SeededGenerator) -> Value) -> Value? {
        Bool.random(using: &self) ? draw(&self) : nil
    }

    mutating func one<Value>(of values: [Value], else other: Value) -> Value {
        values.randomElement(using: &self) ?? other
    }

    /// Up to `limit`; often near its ends.
    mutating func number(_ limit: UInt64) -> UInt64 {
        switch UInt8.random(in: 0...3, using: &self) {
        case 0: .random(in: 0...min(3, limit), using: &self)
        case 1: limit - .random(in: 0...min(3, limit), using: &self)
        default: .random(in: 0...limit, using: &self)
        }
    }

    mutating func count() -> UInt32 { UInt32(number(1 << 30)) }
    mutating func ledger() -> LedgerID { LedgerID(UInt32(number(UInt64(UInt32.max)))) }
    mutating func term() -> Term { Term(number(1 << 62)) }
    mutating func place() -> Place { Place(term: term(), sequence: number(1 << 62)) }
    mutating func task() -> TaskID { TaskID(high: next(), low: next()) }
    mutating func token() -> Token { Token(run: count(), term: term(), attempt: count()) }
    mutating func instant() -> Instant {
        Instant(nanoseconds: .random(in: -1_000_000_000_000...1_000_000_000_000, using: &self))
    }
    mutating func timestamp() -> Timestamp { Timestamp(milliseconds: Int64(number(253_402_300_799_999))) }
    mutating func bytes() -> [UInt8] { some { .random(in: 0...255, using: &$0) } }
    mutating func text() -> String { some { $0.one(of: ["a", "ß", "雨燕", " ", "\u{0}"], else: "") }.joined() }
    mutating func priority() -> Priority { Priority(Int.random(in: 1...10, using: &self)) ?? .normal }

    mutating func node() -> NodeName {
        guard let name = NodeName(one(of: ["a", "node-1.example_x", "0"], else: "n")) else { preconditionFailure() }
        return name
    }

    mutating func spec() -> TaskSpec {
        var spec = TaskSpec(
            type: "t" + text(), payload: bytes(), priority: priority(), queue: node().rawValue,
            retry: RetryPolicy(
                maxRetries: UInt16(number(100)), backoff: one(of: RetryPolicy.Backoff.allCases, else: .none),
                base: UInt32(number(UInt64(UInt32.max))), maximum: UInt32(number(UInt64(UInt32.max))),
                jitter: UInt16(number(1000))),
            timeout: UInt32(number(86_400_000)), delay: number(31_536_000_000),
            expiry: maybe { $0.number(31_536_000_000) },
            delivery: one(of: TaskSpec.Delivery.allCases, else: .atLeastOnce), resultTTL: number(31_536_000_000),
            metadata: some { TaskSpec.Label(key: $0.text(), value: $0.text()) }, dependencies: dependencies())
        spec.workflow = maybe { $0.part() }
        spec.fairnessKey = maybe { "f" + $0.text() }
        return spec
    }

    mutating func errand() -> Errand {
        Errand(
            type: "t" + text(), payload: bytes(), queue: node().rawValue, priority: priority(),
            timeout: UInt32(number(86_400_000)))
    }

    mutating func part() -> WorkflowPart {
        let role: WorkflowPart.Role =
            switch Int.random(in: 1...4, using: &self) {
            case 1:
                .root(
                    WorkflowPlan(
                        stopsOnFailure: .random(using: &self), callbacks: [WorkflowPlan.Callback(.always, errand())]))
            case 2: .compensation(task())
            case 3: .callback(one(of: WorkflowPlan.Occasion.allCases, else: .always))
            default: .step
            }
        return WorkflowPart(workflow: task(), ref: text(), role: role, compensation: maybe { $0.errand() })
    }

    mutating func dependencies() -> TaskDependencies {
        let parents = some { $0.task() }
        guard !parents.isEmpty else { return .none }
        return TaskDependencies(
            parents: parents, onFailure: one(of: TaskDependencies.FailurePolicy.allCases, else: .fail),
            needed: maybe { UInt16($0.number(UInt64(Limits.dependencies))) })
    }

    mutating func outcome() -> ParentOutcome {
        ParentOutcome(
            end: one(of: ParentOutcome.End.allCases, else: .lost), result: maybe { $0.bytes() },
            resultBytes: UInt32(number(UInt64(UInt32.max))), failure: maybe { $0.failure() })
    }

    mutating func acceptance() -> Acceptance {
        Acceptance(
            id: task(), spec: spec(), enqueuedAt: instant(), due: maybe { $0.instant() },
            expires: maybe { $0.instant() })
    }

    mutating func lease() -> Lease {
        Lease(
            token: token(), holder: NodeID(name: node(), generation: Generation(next())), at: timestamp(),
            isStarted: .random(using: &self))
    }

    mutating func failure() -> TaskFailure {
        var failure = TaskFailure(type: text(), message: text(), isRetryable: .random(using: &self))
        if failure.isRetryable {
            failure.retryAfter = maybe { UInt32.random(in: 0...Limits.retryAfterMilliseconds, using: &$0) }
        }
        return failure
    }

    mutating func result() -> TaskResult {
        .random(using: &self)
            ? .inline(bytes())
            : .detached(
                DetachedResult(byteCount: 70_000, checksum: UInt32(truncatingIfNeeded: next()), holders: holders()))
    }

    private mutating func holders() -> [StoreHolder] {
        (0...Int.random(in: 0..<Limits.copies, using: &self)).map { _ in
            StoreHolder(name: node(), store: StoreID(next()))
        }
    }

    mutating func event() -> LedgerEvent {
        switch Int.random(in: 1...19, using: &self) {
        case 18: .resultMoved(task(), token(), to: holders())
        case 1: .accepted(acceptance())
        case 2: .leased(task(), lease())
        case 3: .started(task(), token(), at: timestamp())
        case 4: .completed(task(), token(), result: result(), by: node(), at: timestamp())
        case 5: .failed(task(), token(), failure(), by: maybe { $0.node() }, at: timestamp())
        case 6: .rescheduled(task(), token(), failure(), due: instant(), at: timestamp())
        case 7: .interrupted(task(), token(), isBlamed: .random(using: &self), at: timestamp())
        case 8: .cancelRequested(task(), at: timestamp())
        case 9: .cancelled(task(), at: timestamp())
        case 10: .expired(task(), at: timestamp())
        case 11: .duplicateDiscarded(task())
        case 12: .forgotten(task())
        case 13: .changed(task(), priority(), due: maybe { $0.instant() }, at: timestamp())
        case 15: .workflowFailing(task(), by: task(), at: timestamp())
        case 16:
            .workflowEnded(
                task(), one(of: TaskStatus.allCases.filter(\.isFinal), else: .failed), maybe { $0.failure() },
                at: timestamp())
        case 19: .calledBack(task(), acceptance())
        case 14: .dependencyEnded(task(), task(), outcome(), at: timestamp())
        default: .retried(task(), run: count(), enqueuedAt: instant(), at: timestamp())
        }
    }

    mutating func entry() -> LedgerEntry { LedgerEntry(place: place(), event: event()) }

    mutating func record() -> TaskRecord {
        let status = one(of: TaskStatus.allCases, else: .pending)
        let spec = spec()
        let parents = spec.dependencies.parents.map { _ in maybe { $0.outcome() } }
        return TaskRecord(
            id: task(), spec: spec, status: status, enqueuedAt: instant(),
            due: status == .scheduled ? instant() : nil,
            expires: maybe { $0.instant() }, lease: status == .processing ? lease() : nil, run: count(),
            attempts: count(),
            idleLeases: count(), failures: count(), interruptions: count(), isCancelRequested: .random(using: &self),
            duplicatesDiscarded: count(), startedAt: maybe { $0.timestamp() }, worker: maybe { $0.node() },
            finishedAt: status.isFinal ? timestamp() : nil, result: maybe { $0.result() },
            failure: maybe { $0.failure() },
            finalToken: maybe { $0.token() }, leasedAt: maybe { $0.timestamp() }, changes: count(), parents: parents,
            failedBy: maybe { $0.task() },
            history: history(),
            isCalledBack: status.isFinal && spec.callbackURL != nil && Bool.random(using: &self))
    }

    mutating func history() -> TaskHistory { TaskHistory(steps: some { $0.step() }, cut: count()) }

    mutating func step() -> TaskHistory.Step {
        let kind: TaskHistory.Step.Kind =
            switch Int.random(in: 1...7, using: &self) {
            case 1: .attemptFailed(failure())
            case 2: .interrupted(isBlamed: .random(using: &self))
            case 3:
                .ended(
                    one(of: TaskStatus.allCases.filter(\.isFinal), else: .failed),
                    maybe { $0.failure() })
            case 4: .retried
            case 5: .changed(priority(), from: priority())
            case 6: .released
            default: .cancelRequested
            }
        return TaskHistory.Step(
            kind: kind, at: timestamp(), run: count(), token: maybe { $0.token() }, node: maybe { $0.node() },
            leasedAt: maybe { $0.timestamp() }, startedAt: maybe { $0.timestamp() }, due: maybe { $0.instant() })
    }

    mutating func reply() -> ReplicaReply {
        switch Int.random(in: 1...4, using: &self) {
        case 1: .held(place())
        case 2: .copying
        case 3: .sealed(term())
        default: .mismatch(last: place(), tail: some { $0.entry() }, isWhole: .random(using: &self))
        }
    }

    mutating func attempt() -> AttemptID { AttemptID(ledger: ledger(), id: task(), token: token()) }

    mutating func report() -> AttemptReport {
        let outcome: AttemptOutcome =
            switch Int.random(in: 1...4, using: &self) {
            case 1: .completed(result())
            case 2: .failed(failure())
            case 3: .stopped
            default: .released
            }
        return AttemptReport(attempt: attempt(), outcome: outcome)
    }
}

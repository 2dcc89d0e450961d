import Primitives
import Testing

@testable import TaskLedger

/// What follows in a workflow from the ends of its tasks.
struct WorkflowTests {
    /// A workflow at one node without backups: everything is committed in the turn in which it is decided.
    struct Bench {
        var node = OwnerBench(slots: 8)
        let root: TaskID
        var refs: [String: TaskID] = [:]
        /// Another process makes other ids.
        var microseconds: UInt64 = 1

        /// - Parameter steps: `ref`, the refs of its parents, and whether it can be undone.
        init(_ steps: [(String, [String], Bool)], plan: WorkflowPlan = WorkflowPlan(), needed: UInt16? = nil) throws {
            let ids = node.owner.makeIDs(for: Sample.ledger, count: steps.count + 1, microseconds: 1)
            root = ids[0]
            var specs = [TaskSpec(type: "workflow")]
            specs[0].workflow = WorkflowPart(workflow: root, ref: "", role: .root(plan))
            for (index, step) in steps.enumerated() {
                refs[step.0] = ids[index + 1]
                let parents = step.1.compactMap { refs[$0] }
                var spec = TaskSpec(type: "t", dependencies: TaskDependencies(parents: parents, onFailure: .cancel))
                if parents.isEmpty { spec.dependencies = .none }
                if step.0 == "gather" { spec.dependencies.needed = needed }
                spec.workflow = WorkflowPart(
                    workflow: root, ref: step.0, role: .step,
                    compensation: step.2 ? Errand(type: "undo-" + step.0) : nil)
                specs.append(spec)
            }
            _ = try node.owner.submit(specs, ids: ids, request: 1, at: node.now, microseconds: 1)
        }

        /// Until nothing follows any more. Returns what was started.
        mutating func settle() -> [Assignment] {
            var started: [Assignment] = []
            for _ in 0..<20 {
                _ = node.owner.parentsToAsk(at: node.now, timestamp: Sample.at)
                node.owner.advanceWorkflows(at: node.now, timestamp: Sample.at, microseconds: microseconds)
                node.owner.slotsFree(8)
                started += node.turn().starts
            }
            return started
        }

        /// The refs of what starts: of compensations their task types.
        mutating func starts() -> [String: Assignment] {
            var all: [String: Assignment] = [:]
            for assignment in settle() {
                let part = assignment.spec.workflow
                all[part?.isStep == true ? part?.ref ?? "" : assignment.spec.type] = assignment
            }
            return all
        }

        mutating func complete(_ assignment: Assignment?, result: [UInt8] = [0x31]) throws {
            node.report(try #require(assignment).attempt, .completed(.inline(result)))
        }

        mutating func fail(_ assignment: Assignment?) throws {
            node.report(try #require(assignment).attempt, .failed(Sample.finalFailure))
        }

        func status(_ ref: String) -> TaskStatus? { refs[ref].flatMap { node.owner.task($0)?.status } }
        var status: TaskStatus? { node.owner.task(root)?.status }
    }

    @Test func stepsRunInOrderAndTheWorkflowCompletes() throws {
        let plan = WorkflowPlan(callbacks: [
            .init(.success, Errand(type: "well")), .init(.failure, Errand(type: "ill")),
            .init(.always, Errand(type: "over")),
        ])
        var bench = try Bench([("a", [], true), ("b", ["a"], true), ("c", ["a", "b"], false)], plan: plan)
        for ref in ["a", "b", "c"] {
            let starts = bench.starts()
            #expect(Array(starts.keys) == [ref])
            try bench.complete(starts[ref])
        }
        let callbacks = bench.starts()
        #expect(callbacks.keys.sorted() == ["over", "well"])
        #expect(bench.status == .blocked)
        // They get the results of the last steps.
        #expect(callbacks["well"]?.parents == [ParentOutcome(end: .completed, result: [0x31])])
        try bench.complete(callbacks["over"])
        #expect(bench.starts().isEmpty)
        try bench.complete(callbacks["well"])
        _ = bench.settle()
        #expect(bench.status == .completed)
        #expect(bench.node.owner.derivedFault() == nil)
        #expect(bench.node.owner.counters.completed == 5)
    }

    @Test func whatHasCompletedIsUndoneTheLastFirst() throws {
        var bench = try Bench([
            ("a", [], true), ("b", ["a"], true), ("x", ["a"], false), ("c", ["b"], true), ("d", ["c"], true),
            ("e", ["d"], true),
        ])
        try bench.complete(bench.starts()["a"])
        var starts = bench.starts()
        #expect(starts.keys.sorted() == ["b", "x"])
        try bench.complete(starts["x"])
        try bench.complete(starts["b"], result: [0x32])
        try bench.complete(bench.starts()["c"])
        try bench.fail(bench.starts()["d"])
        for ref in ["c", "b", "a"] {
            starts = bench.starts()
            #expect(Array(starts.keys) == ["undo-" + ref])
            if ref == "b" { #expect(starts["undo-b"]?.parents == [ParentOutcome(end: .completed, result: [0x32])]) }
            #expect(bench.status == .blocked)
            try bench.complete(starts["undo-" + ref])
        }
        #expect(bench.starts().isEmpty)
        #expect(bench.status == .failed)
        #expect(bench.status("e") == .cancelled)
        let root = try #require(bench.node.owner.task(bench.root))
        #expect(root.failure?.type == "step_failed")
        #expect(root.failedBy == bench.refs["d"])
        // It is no dead letter; its step is.
        #expect(bench.node.owner.letters.count == 1)
        #expect(bench.node.owner.derivedFault() == nil)
    }

    @Test func aCompensationThatFailsIsNamedAndStopsNoOther() throws {
        var bench = try Bench([("a", [], true), ("b", ["a"], true), ("c", ["b"], false)])
        try bench.complete(bench.starts()["a"])
        try bench.complete(bench.starts()["b"])
        try bench.fail(bench.starts()["c"])
        try bench.fail(bench.starts()["undo-b"])
        try bench.complete(bench.starts()["undo-a"])
        _ = bench.settle()
        let failure = try #require(bench.node.owner.task(bench.root)?.failure)
        #expect(failure.type == "compensation_failed")
        #expect(failure.message.hasSuffix("not compensated: b"))
    }

    @Test func aFailureStopsWhatHasNotBegunOrOnlyWhatDependsOnIt() throws {
        for stops in [true, false] {
            var bench = try Bench(
                [("a", [], false), ("b", [], false), ("c", ["b"], false), ("d", ["a"], false)],
                plan: WorkflowPlan(stopsOnFailure: stops))
            let starts = bench.starts()
            #expect(starts.keys.sorted() == ["a", "b"])
            try bench.fail(starts["a"])
            _ = bench.settle()
            // What runs goes on.
            #expect(bench.status("b") == .processing)
            #expect(bench.status("d") == .cancelled)
            #expect(bench.status("c") == (stops ? .cancelled : .blocked))
            #expect(bench.status == .blocked)
            try bench.complete(starts["b"])
            let next = bench.starts()
            if !stops { try bench.complete(next["c"]) }
            _ = bench.settle()
            #expect(bench.status == .failed)
        }
    }

    @Test(arguments: [
        (1 as UInt16?, "sff", TaskStatus.completed), (1, "fff", .failed), (2, "ssf", .completed), (2, "sff", .failed),
        (nil, "ssf", .failed), (nil, "sss", .completed),
    ])
    func aGatherWantsSomeOfItsParents(needed: UInt16?, ends: String, status: TaskStatus) throws {
        var bench = try Bench(
            [("a", [], false), ("b", [], false), ("c", [], false), ("gather", ["a", "b", "c"], false)], needed: needed)
        let starts = bench.starts()
        var gathered: Assignment?
        for (ref, end) in zip(["a", "b", "c"], ends) {
            if end == "s" { try bench.complete(starts[ref]) } else { try bench.fail(starts[ref]) }
            gathered = bench.starts()["gather"] ?? gathered
        }
        if status == .completed { try bench.complete(gathered) }
        _ = bench.settle()
        #expect(bench.status == status)
    }

    @Test func aCancelledWorkflowBeginsNothingMoreAndIsUndone() throws {
        var bench = try Bench([("a", [], true), ("b", ["a"], true), ("c", ["b"], true)])
        try bench.complete(bench.starts()["a"])
        let running = bench.starts()
        let decision = bench.node.owner.cancel(
            bench.root, request: 9, timestamp: Sample.at, into: &bench.node.effects)
        #expect(decision == .requested)
        #expect(bench.starts().isEmpty)
        #expect(bench.status("c") == .cancelled)
        try bench.complete(running["b"])
        try bench.complete(bench.starts()["undo-b"])
        try bench.complete(bench.starts()["undo-a"])
        _ = bench.settle()
        #expect(bench.status == .cancelled)
    }

    @Test func aTakeoverGoesOnAndDecidesNothingTwice() throws {
        var bench = try Bench([("a", [], true), ("b", ["a"], true), ("c", ["b"], false)])
        try bench.complete(bench.starts()["a"])
        try bench.complete(bench.starts()["b"])
        try bench.fail(bench.starts()["c"])
        try bench.complete(bench.starts()["undo-b"])
        // The successor knows what was decided from the ledger.
        var copy = try #require(bench.node.owner.copy(of: Sample.ledger))
        for term in UInt64(2)...4 {
            var other = OwnerBench(slots: 8)
            other.owner.stepDown(Sample.ledger, into: &other.effects)
            other.install(view: term, term: term, copy: copy)
            bench.node = other
            bench.microseconds = term * 1_000_000
            _ = bench.settle()
            copy = try #require(bench.node.owner.copy(of: Sample.ledger))
        }
        let members = try #require(bench.node.owner.workflow(bench.root))
        var undone: [String] = []
        for member in members {
            if case .compensation? = member.spec.workflow?.role { undone.append(member.spec.type) }
        }
        #expect(undone.sorted() == ["undo-a", "undo-b"])
    }

    @Test func theEndsOfStepsAscendWhateverTheClockSays() throws {
        var bench = try Bench([("a", [], false), ("b", [], false), ("c", [], false)])
        let starts = bench.starts()
        for ref in ["c", "a", "b"] { try bench.complete(starts[ref]) }
        let records = ["c", "a", "b"].compactMap { bench.refs[$0] }.compactMap { bench.node.owner.task($0) }
        let ends = records.compactMap(\.finishedAt?.milliseconds)
        #expect(ends == ends.sorted() && Set(ends).count == 3)
    }

    @Test func whatADeposedPrimaryEnqueuedIsNotAdopted() throws {
        var bench = try Bench([("a", [], true)])
        var spec = TaskSpec(type: "undo-a")
        let step = try #require(bench.refs["a"])
        spec.workflow = WorkflowPart(workflow: bench.root, ref: "a", role: .compensation(step))
        let entry = LedgerEntry(place: Sample.place(1, 99), event: .accepted(Sample.acceptance(77, spec)))
        bench.node.owner.adopt([entry], into: Sample.ledger, timestamp: Sample.at, effects: &bench.node.effects)
        #expect(bench.node.owner.task(Sample.task(77)) == nil)
    }

    @Test func theRecordsStayUntilTheRegistryHasTheWorkflow() throws {
        var bench = try Bench([("a", [], false)])
        bench.node.install(view: 2, isHome: false)
        let a = try #require(bench.refs["a"])
        try bench.complete(bench.starts()["a"])
        let ended = try #require(bench.node.owner.task(a))
        _ = bench.settle()
        bench.node.owner.archived(a, under: ended.resultToken)
        #expect(bench.node.owner.task(a) != nil)
        let root = try #require(bench.node.owner.task(bench.root))
        #expect(root.status == .completed)
        bench.node.owner.archived(bench.root, under: root.resultToken)
        _ = bench.settle()
        #expect(bench.node.owner.task(a) == nil)
        #expect(bench.node.owner.task(bench.root) == nil)
    }

    @Test func tasksAreAddedAsLongAsAStepIsOpen() throws {
        var bench = try Bench([("a", [], true)])
        let running = bench.starts()
        func spec(_ ref: String) -> TaskSpec {
            var spec = TaskSpec(type: "t")
            spec.workflow = WorkflowPart(workflow: bench.root, ref: ref, role: .step)
            return spec
        }
        func extend(_ refs: String...) -> ExtensionDecision {
            let ids = bench.node.owner.makeIDs(for: Sample.ledger, count: refs.count, microseconds: 1)
            for (ref, id) in zip(refs, ids) where bench.refs[ref] == nil { bench.refs[ref] = id }
            return bench.node.owner.extendWorkflow(
                bench.root, refs.map(spec), ids: ids, request: 3, at: bench.node.now)
        }
        #expect(extend("b", "c") == .done)
        #expect(extend("d", "b") == .taken)
        #expect(bench.node.owner.task(try #require(bench.refs["d"])) == nil)
        try bench.complete(running["a"])
        let more = bench.starts()
        #expect(more.keys.sorted() == ["b", "c"])
        #expect(bench.status == .blocked)
        try bench.complete(more["b"])
        try bench.fail(more["c"])
        let undo = bench.starts()
        #expect(Array(undo.keys) == ["undo-a"])
        #expect(extend("e") == .over)
        try bench.complete(undo["undo-a"])
        _ = bench.settle()
        #expect(bench.status == .failed)
        #expect(extend("f") == .over)
        #expect(bench.node.owner.extendWorkflow(Sample.task(7), [], ids: [], request: 4, at: .zero) == .unknown)
    }

    /// Whoever finds all there that it wants to add has to know that it is committed, even if no more can be added.
    @Test func toAddNothingAwaitsWhatWasAdded() throws {
        var bench = try Bench([("a", [], false)])
        let starts = bench.starts()
        func addNothing() -> ExtensionDecision {
            bench.node.owner.extendWorkflow(bench.root, [], ids: [], request: 9, at: bench.node.now)
        }
        func isAnswered() -> Bool {
            bench.node.turn().others.contains { if case .accepted(request: 9) = $0 { true } else { false } }
        }
        #expect(addNothing() == .done)
        #expect(isAnswered())
        try bench.complete(starts["a"])
        _ = bench.settle()
        #expect(bench.status == .completed)
        #expect(addNothing() == .done)
        #expect(isAnswered())
    }

    /// A message that nobody has subscribed to, and that has a key.
    @Test func aWorkflowWithoutTasksIsOverAtOnce() throws {
        var bench = try Bench([])
        _ = bench.settle()
        #expect(bench.status == .completed)
    }

    @Test func neitherAWorkflowNorItsTasksAreRunAgainAsLongAsItIsOpen() throws {
        var bench = try Bench([("a", [], false), ("b", [], false)])
        let starts = bench.starts()
        try bench.fail(starts["a"])
        _ = bench.settle()
        let step = try #require(bench.refs["a"])
        for id in [bench.root, step] {
            let decision = bench.node.owner.carryOut(
                .retry, for: id, request: 5, at: bench.node.now, timestamp: Sample.at)
            #expect(decision == .inWorkflow)
        }
    }
}

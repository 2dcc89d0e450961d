import APIModel
import Primitives
import Service
import TaskLedger
import Views

/// Reads a submitted workflow: JSON in, a valid draft or all that is wrong with it out.
///
/// Its tasks are read as any submitted task is (`SubmissionParser`), after what belongs to workflows alone was taken out:
/// `ref`, `depends_on` (refs of this workflow, or ids of tasks that exist), `compensate`, `gather`.
struct WorkflowParser {
    /// A task before the refs of all tasks are known.
    private struct Raw {
        var ref: String
        var spec: TaskSpec?
        var needs: [String] = []
        var policy: TaskDependencies.FailurePolicy?
        var gather: Gather?
        var compensation: Errand?
        /// Where it stands in the body.
        var pointer: String
    }

    /// What the tasks of workflows have, and others have not, or otherwise.
    private static let own: Set<String> = [
        "ref", "depends_on", "on_dependency_failure", "compensate", "gather", "policy",
    ]

    private enum Gather {
        case all
        case some(Int)
    }

    private let now: Timestamp
    /// What the queues of its tasks say where the tasks do not.
    private let settings: ClusterSettings?
    /// Tasks that the workflow has already, if it is one that exists.
    private let known: [String: TaskID]?
    private var keys: KeyFields
    private var errors: [ProblemDocument.Item] = []
    private var name: String?
    private var callbackURL: String?
    private var plan = WorkflowPlan()
    private var tasks: [Raw] = []
    private var hasList = false
    private var hasChain = false
    private var gathered: Raw?

    private init(now: Timestamp, key: String?, settings: ClusterSettings?, known: [String: TaskID]?) {
        self.now = now
        keys = KeyFields(header: key)
        self.settings = settings
        self.known = known
    }

    /// - Parameters:
    ///   - key: the header `Idempotency-Key`.
    ///   - settings: what the tasks' queues say where the tasks do not.
    ///   - known: more tasks for a workflow that exists; those that it has already are left out of the draft, and may
    ///     be waited for.
    static func parse(
        _ body: [UInt8], now: Timestamp, key: String? = nil, settings: ClusterSettings? = nil,
        known: [String: TaskID]? = nil
    ) throws(Problem) -> WorkflowDraft {
        var workflow = WorkflowParser(now: now, key: key, settings: settings, known: known)
        do {
            var parser = JSONPullParser(body)
            try workflow.read(&parser)
            try parser.finish()
        } catch {
            throw Problem.malformed(error)
        }
        var draft = workflow.draft()
        // The same request is one with the same bytes.
        draft.idempotency = workflow.keys.idempotency(of: Fingerprint.of(body))
        if let problem = workflow.keys.problem { workflow.report(problem.pointer, problem.detail) }
        guard workflow.errors.isEmpty else {
            throw Problem.invalid(workflow.errors, in: "workflow", effect: "nothing was accepted")
        }
        guard draft.cost <= Limits.workflowBytes else {
            throw Problem.invalid("/tasks", "must take at most \(Limits.workflowBytes) bytes, take about \(draft.cost)")
        }
        return draft
    }

    private mutating func report(_ pointer: String, _ detail: String) {
        guard errors.count < APILimits.reportedErrors else { return }
        errors.append(ProblemDocument.Item(pointer: pointer, detail: detail))
    }

    // MARK: The body

    private mutating func read(_ parser: inout JSONPullParser) throws(JSONError) {
        let kind = try parser.peek()
        guard kind == .object else {
            try parser.skipValue()
            return report("", "must be an object with \"tasks\", got \(kind.name)")
        }
        try parser.beginObject()
        var isFirst = true
        var met: Set<String> = []
        while let key = try parser.nextKey(isFirst: &isFirst) {
            let pointer = HTTPAPI.pointer(to: key)
            guard met.insert(key).inserted else {
                try parser.skipValue()
                report(pointer, "given twice")
                continue
            }
            if try parser.peek() == .null {
                try parser.skipValue()
                continue
            }
            try readMember(key, pointer, &parser)
        }
    }

    private static let members = [
        "name", "tasks", "chain", "gather", "on_task_failure", "on_success", "on_failure", "always", "idempotency_key",
        "idempotency_window", "callback_url",
    ]

    private mutating func readMember(
        _ key: String, _ pointer: String, _ parser: inout JSONPullParser
    ) throws(JSONError) {
        var reader = FieldReader(parser, limit: APILimits.reportedErrors)
        switch known != nil && key != "tasks" ? "" : key {
        case "name":
            name = try reader.string(pointer)
            if let name, !(1...Limits.metadataValueBytes).contains(name.utf8.count) {
                reader.report(pointer, "must be 1...\(Limits.metadataValueBytes) bytes")
            }
        case "on_task_failure":
            if let word = try reader.word(pointer, of: ["stop", "continue"]) { plan.stopsOnFailure = word == "stop" }
        case "idempotency_key": try keys.readKey(pointer, &reader)
        case "idempotency_window": try keys.readWindow(pointer, &reader)
        case "callback_url": callbackURL = try reader.webAddress(pointer)
        case "tasks", "chain":
            if key == "chain" { hasChain = true } else { hasList = true }
            guard try reader.next(is: .array, pointer, "an array of tasks") else { break }
            parser = reader.parser
            return try readTasks(pointer, isChain: key == "chain", &parser)
        case "gather":
            guard try reader.next(is: .object, pointer) else { break }
            parser = reader.parser
            gathered = try readTask(pointer, defaultRef: "gather", &parser)
            return
        case "on_success", "on_failure", "always":
            guard try reader.next(is: .object, pointer) else { break }
            parser = reader.parser
            let occasion = WorkflowPlan.Occasion.allCases.first { $0.name == key }
            if let errand = try readErrand(pointer, &parser), let occasion {
                plan.callbacks.append(WorkflowPlan.Callback(occasion, errand))
            }
            return
        default:
            try reader.parser.skipValue()
            if known != nil, Self.members.contains(key) {
                reader.report(pointer, "a workflow that exists takes \"tasks\" and nothing else")
            } else {
                reader.reportUnknown(key, pointer, among: Self.members)
            }
        }
        parser = reader.parser
        for error in reader.errors { report(error.pointer, error.detail) }
    }

    private mutating func readTasks(
        _ pointer: String, isChain: Bool, _ parser: inout JSONPullParser
    ) throws(JSONError) {
        try parser.beginArray()
        var isFirst = true
        var position = 0
        while try parser.nextElement(isFirst: &isFirst) {
            defer { position += 1 }
            guard position < Limits.workflowTasks else {
                try parser.skipValue()
                if position == Limits.workflowTasks {
                    report(pointer, "must have at most \(Limits.workflowTasks) tasks")
                }
                continue
            }
            let entry = "\(pointer)/\(position)"
            guard try parser.peek() == .object else {
                try parser.skipValue()
                report(entry, "must be an object with a \"task_type\"")
                continue
            }
            var task = try readTask(entry, defaultRef: isChain ? "\(position + 1)" : nil, &parser)
            if isChain, !task.needs.isEmpty {
                report(entry + "/depends_on", "a task of a chain waits for the one before it: leave it out")
            }
            if isChain, let before = tasks.last { task.needs = [before.ref] }
            tasks.append(task)
        }
    }

    // MARK: One task

    /// - Parameter defaultRef: nil: it has to have a ref of its own.
    private mutating func readTask(
        _ pointer: String, defaultRef: String?, _ parser: inout JSONPullParser
    ) throws(JSONError) -> Raw {
        var raw = Raw(ref: "", pointer: pointer)
        let rest = try separate(pointer, &parser, into: &raw)
        if raw.ref.isEmpty {
            if let defaultRef { raw.ref = defaultRef } else { report(pointer + "/ref", "is required") }
        }
        raw.spec = try spec(of: rest, pointer)
        return raw
    }

    /// Takes out what belongs to workflows alone.
    /// - Returns: the rest, as a task.
    private mutating func separate(
        _ pointer: String, _ parser: inout JSONPullParser, into raw: inout Raw
    ) throws(JSONError) -> [UInt8] {
        var rest: [UInt8] = [UInt8(ascii: "{")]
        try parser.beginObject()
        var isFirst = true
        var met: Set<String> = []
        while let key = try parser.nextKey(isFirst: &isFirst) {
            let member = pointer + HTTPAPI.pointer(to: key)
            guard Self.own.contains(key) else {
                let range = try parser.skipValue()
                if rest.count > 1 { rest.append(UInt8(ascii: ",")) }
                rest += JSONWriter.bytes(of: key) + [UInt8(ascii: ":")] + parser.bytes[range]
                continue
            }
            guard met.insert(key).inserted else {
                try parser.skipValue()
                report(member, "given twice")
                continue
            }
            var reader = FieldReader(parser, limit: APILimits.reportedErrors)
            switch key {
            case "ref":
                if let ref = try reader.string(member) {
                    if (1...Limits.nameBytes).contains(ref.utf8.count) {
                        raw.ref = ref
                    } else {
                        reader.report(member, "must be 1...\(Limits.nameBytes) bytes")
                    }
                }
            case "depends_on": raw.needs = try names(member, &reader)
            case "on_dependency_failure":
                let word = try reader.word(member, of: TaskDependencies.FailurePolicy.allCases.map(\.name))
                raw.policy = TaskDependencies.FailurePolicy.allCases.first { $0.name == word }
            case "gather", "policy": raw.gather = try gather(member, &reader)
            default:
                guard try reader.next(is: .object, member) else { break }
                parser = reader.parser
                raw.compensation = try readErrand(member, &parser)
                reader.parser = parser
            }
            parser = reader.parser
            for error in reader.errors { report(error.pointer, error.detail) }
        }
        return rest + [UInt8(ascii: "}")]
    }

    private func names(_ pointer: String, _ reader: inout FieldReader) throws(JSONError) -> [String] {
        guard try reader.next(is: .array, pointer, "an array of refs") else { return [] }
        try reader.parser.beginArray()
        var names: [String] = []
        var isFirst = true
        while try reader.parser.nextElement(isFirst: &isFirst) {
            guard names.count < Limits.dependencies else {
                try reader.parser.skipValue()
                if names.count == Limits.dependencies {
                    reader.report(pointer, "must name at most \(Limits.dependencies) tasks")
                    names.append("")
                }
                continue
            }
            let entry = "\(pointer)/\(names.count)"
            let name = try reader.string(entry, "the ref of a task") ?? ""
            if names.contains(name) { reader.report(entry, "given twice") }
            names.append(name)
        }
        return names
    }

    private func gather(_ pointer: String, _ reader: inout FieldReader) throws(JSONError) -> Gather? {
        if try reader.parser.peek() == .number {
            return try reader.whole(pointer, in: 1...Limits.dependencies).map { .some($0) }
        }
        switch try reader.word(pointer, of: ["all", "any"]) {
        case "all": return .all
        case "any": return .some(1)
        default: return nil
        }
    }

    private mutating func spec(of json: [UInt8], _ pointer: String) throws(JSONError) -> TaskSpec? {
        var parser = JSONPullParser(json)
        switch try SubmissionParser.parse(&parser, now: now, settings: settings) {
        case .spec(let spec):
            guard spec.homeSlot == nil else {
                report(
                    pointer,
                    "may have no idempotency_key and no ordering_key: a workflow is accepted as a whole, and its graph "
                        + "is its order")
                return nil
            }
            return spec
        case .invalid(let items):
            for item in items { report(pointer + item.pointer, item.detail) }
            return nil
        }
    }

    /// A task that is enqueued later: none of its times can be told now.
    private mutating func readErrand(_ pointer: String, _ parser: inout JSONPullParser) throws(JSONError) -> Errand? {
        let range = try parser.skipValue()
        guard let spec = try spec(of: Array(parser.bytes[range]), pointer) else { return nil }
        let plain = TaskSpec(
            type: spec.type, payload: spec.payload, priority: spec.priority, queue: spec.queue, retry: spec.retry,
            timeout: spec.timeout)
        guard spec == plain else {
            report(
                pointer,
                "may have task_type, payload, queue, priority, max_retries, retry and timeout; nothing else")
            return nil
        }
        return Errand(
            type: spec.type, payload: spec.payload, queue: spec.queue, priority: spec.priority, retry: spec.retry,
            timeout: spec.timeout)
    }

    // MARK: The graph

    private mutating func draft() -> WorkflowDraft {
        if hasList, hasChain { report("/chain", "\"tasks\" is given too: give one of them") }
        if tasks.isEmpty, errors.isEmpty { report(hasChain ? "/chain" : "/tasks", "must have at least one task") }
        if var last = gathered {
            let needed = Set(tasks.flatMap(\.needs))
            let leaves = tasks.map(\.ref).filter { !needed.contains($0) }
            if leaves.count > Limits.dependencies {
                report("/gather", "gathers \(leaves.count) tasks, may gather \(Limits.dependencies)")
            } else if last.needs.isEmpty {
                last.needs = leaves
            }
            if last.gather == nil { last.gather = .all }
            tasks.append(last)
        }
        var places: [String: Int] = [:]
        if let known { tasks.removeAll { known[$0.ref] != nil } }
        for (place, task) in tasks.enumerated() where !task.ref.isEmpty {
            if places[task.ref] != nil { report(task.pointer + "/ref", "two tasks are called \(quoted(task.ref))") }
            places[task.ref] = places[task.ref] ?? place
        }
        var steps: [WorkflowDraft.Step] = []
        for task in tasks { steps.append(step(task, places)) }
        if errors.isEmpty, let cycle = cycle(in: steps) {
            let path = cycle.map { steps[$0].ref }.joined(separator: " -> ")
            report(tasks[cycle[0]].pointer + "/depends_on", "a cycle: \(path)")
        }
        return WorkflowDraft(name: name, plan: plan, steps: steps, callbackURL: callbackURL)
    }

    private mutating func step(_ task: Raw, _ places: [String: Int]) -> WorkflowDraft.Step {
        var spec = task.spec ?? TaskSpec(type: "")
        var parents: [Int] = []
        for (position, name) in task.needs.enumerated() where !name.isEmpty {
            if let place = places[name] {
                parents.append(place)
            } else if let id = known?[name] ?? TaskID(name) {
                spec.dependencies.parents.append(id)
            } else {
                report(
                    "\(task.pointer)/depends_on/\(position)",
                    "no task of this workflow is called \(quoted(name))"
                        + (nearestName(to: name, among: places.keys.sorted()).map { ", did you mean \"\($0)\"?" } ?? "")
                )
            }
        }
        if !task.needs.isEmpty {
            // What a step waits for has failed: unless its client wants otherwise it is not run, which is no failure of its own.
            spec.dependencies.onFailure = task.policy ?? .cancel
            if case .some(let count)? = task.gather {
                if count > task.needs.count {
                    report(
                        task.pointer + "/gather",
                        "wants \(count) of the \(task.needs.count) tasks that it depends on")
                }
                spec.dependencies.needed = UInt16(count)
                spec.dependencies.onFailure = task.policy ?? .fail
            }
        } else if task.gather != nil || task.policy != nil {
            report(
                task.pointer + (task.gather != nil ? "/gather" : "/on_dependency_failure"),
                "\"depends_on\" names no task")
        }
        return WorkflowDraft.Step(ref: task.ref, spec: spec, parents: parents, compensation: task.compensation)
    }

    /// The places of a cycle, its first one last as well; nil: there is none.
    private func cycle(in steps: [WorkflowDraft.Step]) -> [Int]? {
        var waiting = steps.map { Set($0.parents).count }
        var children: [[Int]] = Array(repeating: [], count: steps.count)
        for (place, step) in steps.enumerated() { for parent in Set(step.parents) { children[parent].append(place) } }
        var ready = waiting.indices.filter { waiting[$0] == 0 }
        while let place = ready.popLast() {
            for child in children[place] {
                waiting[child] -= 1
                if waiting[child] == 0 { ready.append(child) }
            }
        }
        // Whoever still waits has a parent that does: going back ends in a cycle.
        guard var place = waiting.firstIndex(where: { $0 > 0 }) else { return nil }
        var path: [Int] = []
        while !path.contains(place) {
            path.append(place)
            guard let parent = steps[place].parents.first(where: { waiting[$0] > 0 }) else { return nil }
            place = parent
        }
        let cycle = path[(path.firstIndex(of: place) ?? 0)...] + [place]
        return cycle.reversed()
    }
}

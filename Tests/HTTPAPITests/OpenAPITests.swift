import APIModel
import HTTPTypes
import Primitives
import Service
import Testing
import Views

@testable import HTTPAPI

/// What of `value` is not as `schema` says. Knows what the document uses of JSON Schema; and it wants every member of an
/// object to be described, unless the object may have any.
private func violations(_ value: JSONValue, _ schema: JSONValue, at place: String = "") -> [String] {
    if case .string(let reference) = schema["$ref"] {
        let name = String(reference.split(separator: "/").last ?? "")
        guard let target = Schemas.all[name] else { return ["\(place): no schema \(name)"] }
        return violations(value, target, at: place)
    }
    for key in ["anyOf", "oneOf"] {
        guard case .array(let choices) = schema[key] else { continue }
        let fits = choices.contains { violations(value, $0, at: place).isEmpty }
        if !fits { return ["\(place): fits no choice"] }
    }
    var found: [String] = []
    if let type = schema["type"] {
        let types: [JSONValue] = if case .array(let types) = type { types } else { [type] }
        if !types.contains(where: { isType(value, $0) }) { found.append("\(place): is not \(types)") }
    }
    if case .array(let words) = schema["enum"], case .string = value, !words.contains(value) {
        found.append("\(place): \(value) is not in the enumeration")
    }
    if case .array(let elements) = value, let items = schema["items"] {
        for (index, element) in elements.enumerated() { found += violations(element, items, at: "\(place)/\(index)") }
    }
    guard case .object(let members) = value else { return found }
    if case .array(let required) = schema["required"] {
        for case .string(let key) in required where members[key] == nil { found.append("\(place)/\(key): is missing") }
    }
    guard case .object(let properties) = schema["properties"] else { return found }
    for (key, member) in members {
        guard let property = properties[key] else {
            found.append("\(place)/\(key): is not described")
            continue
        }
        found += violations(member, property, at: "\(place)/\(key)")
    }
    return found
}

private func isType(_ value: JSONValue, _ type: JSONValue) -> Bool {
    switch (value, type) {
    case (.null, "null"), (.bool, "boolean"), (.integer, "integer"), (.integer, "number"), (.number, "number"),
        (.string, "string"), (.array, "array"), (.object, "object"):
        true
    default: false
    }
}

@Suite struct OpenAPITests {
    let api: Routes

    init() {
        api = Routes()
        api.service.update { state in
            state.lookups[Samples.id] = .found(Samples.task)
            state.cancels[Samples.id] = .requested(Samples.task)
            state.wishes[Samples.id] = .done(Samples.task)
            state.story = .found(Samples.story)
            state.schedules["nightly"] = Samples.schedule()
            state.workflow = .found(Samples.workflow)
            state.page = TaskPage(tasks: [Samples.task], next: Samples.id, missing: [])
        }
    }

    private func document() async throws -> JSONValue {
        try await api(.get, "/openapi.json").decoded(as: JSONValue.self)
    }

    private func operations(_ document: JSONValue) throws -> [(path: String, method: String, operation: JSONValue)] {
        guard case .object(let paths) = document["paths"] else { return [] }
        return paths.flatMap { path, item -> [(String, String, JSONValue)] in
            guard case .object(let operations) = item else { return [] }
            return operations.map { (path, $0.key, $0.value) }
        }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    }

    @Test func everyOperationAnswersAsDescribed() async throws {
        let operations = try operations(try await document())
        #expect(operations.count == Route.all.reduce(0) { $0 + 1 + $1.aliases.count })
        for (path, name, operation) in operations {
            let target = path.replacing("{id}", with: Samples.id.description).replacing("{queue}", with: "mail")
                .replacing("{topic}", with: "orders.paid").replacing("{subscription}", with: "audit")
                .replacing("{schedule}", with: "nightly")
            let method = try #require(HTTPRequest.Method(rawValue: name.uppercased()))
            // A purged task is answered without the task.
            let isPurge = path.hasSuffix("purge")
            api.service.update { state in
                state.wishes[Samples.id] = .done(isPurge ? nil : Samples.task)
                state.settings?.subscriptions = [Self.subscription].compactMap(\.self)
            }
            let body = Self.body(operation["requestBody"]?["content"]?["application/json"]?["schema"])
            let answer = try await api(method, target, body: body)
            let response = try #require(
                operation["responses"]?[String(answer.status)], "\(name) \(path): \(answer.status)")
            #expect(answer.status < 300)
            if answer.status == 204 {
                #expect(answer.body.isEmpty && response["content"] == nil)
                // For the operations that are still to come.
                api.service.update { $0.schedules["nightly"] = Samples.schedule() }
                continue
            }
            guard let schema = response["content"]?["application/json"]?["schema"] else {
                #expect(response["content"]?["text/html"] != nil)
                continue
            }
            let found = violations(try answer.decoded(as: JSONValue.self), schema)
            #expect(found == [], "\(name) \(path)")
        }
    }

    private static let subscription = TopicPattern("orders.*").map {
        Subscription(name: "audit", pattern: $0, task: Array(#"{"task_type":"echo"}"#.utf8))
    }

    private static func body(_ schema: JSONValue?) -> String? {
        guard case .string(let reference) = schema?["$ref"] else { return nil }
        switch reference.split(separator: "/").last {
        case "Batch": return #"[{"type":"a"},{}]"#
        case "MoreTasks": return #"{"tasks":[{"ref":"z","task_type":"echo","depends_on":["a"]}]}"#
        case "Workflow":
            return #"{"tasks":[{"ref":"a","task_type":"echo"}],"always":{"task_type":"noop"}}"#
        case "Change": return #"{"priority":"low","run_at":null}"#
        case "ScheduleDraft": return #"{"cron":"@daily","task":{"task_type":"echo"}}"#
        case "QueueChange": return #"{"paused":true,"weight":2}"#
        case "NewSubscription": return #"{"topic":"a.#","task":{"task_type":"echo"}}"#
        case "Message": return #"{"payload":1}"#
        case "LetterFilter": return #"{"queue":"mail","age":60}"#
        default: return #"{"type":"a"}"#
        }
    }

    @Test func problemsAreAsDescribed() async throws {
        let problem: JSONValue = Schemas.reference("Problem")
        for answer in [
            try await api.submit("{"), try await api.submit(#"{"priority":0}"#), try await api(.get, "/none"),
            try await api(.put, "/tasks"), try await api(.get, "/tasks/01900000-0000-7000-8000-000000000002"),
        ] {
            #expect(violations(try answer.decoded(as: JSONValue.self), problem) == [])
        }
    }

    /// A type is a word or an array of words.
    @Test func typesAreWords() async throws {
        func wrongTypes(_ value: JSONValue, at place: String) -> [String] {
            switch value {
            case .object(let members):
                return members.flatMap { key, value -> [String] in
                    var wrong = wrongTypes(value, at: "\(place)/\(key)")
                    if key == "type", case .array(let types) = value,
                        types.contains(where: { if case .string = $0 { false } else { true } })
                    {
                        wrong.append("\(place)/type")
                    }
                    return wrong
                }
            case .array(let elements): return elements.flatMap { wrongTypes($0, at: place) }
            default: return []
            }
        }
        #expect(wrongTypes(try await document(), at: "") == [])
    }

    @Test func referencesLeadSomewhereAndOperationsAreUnique() async throws {
        let document = try await document()
        func references(_ value: JSONValue) -> [String] {
            switch value {
            case .object(let members):
                members.flatMap { key, value -> [String] in
                    if key == "$ref", case .string(let text) = value { [text] } else { references(value) }
                }
            case .array(let elements): elements.flatMap(references)
            default: []
            }
        }
        for reference in Set(references(document)) {
            let name = String(reference.split(separator: "/").last ?? "")
            #expect(reference == "#/components/schemas/\(name)")
            #expect(document["components"]?["schemas"]?[name] != nil)
        }
        let ids = try operations(document).compactMap { $0.operation["operationId"] }
        #expect(Set(ids).count == ids.count)
    }

    @Test func submissionsAreDescribedFieldByField() throws {
        guard case .object(let properties) = Schemas.all["Submission"]?["properties"] else {
            Issue.record("no properties")
            return
        }
        let supported = SubmissionField.allCases.flatMap(\.names)
        #expect(Set(properties.keys) == Set(supported))
    }
}

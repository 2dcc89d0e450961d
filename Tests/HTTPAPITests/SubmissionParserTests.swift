import APIModel
import Primitives
import TaskLedger
import Testing

@testable import HTTPAPI

/// The task of a body, and what is wrong with it.
private func parse(_ body: String) throws -> (spec: TaskSpec?, errors: [ProblemDocument.Item]) {
    var parser = JSONPullParser(Array(body.utf8))
    let outcome = try SubmissionParser.parse(&parser, now: Samples.time)
    try parser.finish()
    switch outcome {
    case .spec(let spec): return (spec, [])
    case .invalid(let errors): return (nil, errors)
    }
}

/// With one more member besides the type.
private func parse(member: String) throws -> (spec: TaskSpec?, errors: [ProblemDocument.Item]) {
    try parse(#"{"task_type":"t",\#(member)}"#)
}

/// The spec that differs from the default by `change`.
private func expected(_ change: (inout TaskSpec) -> Void) -> TaskSpec {
    var spec = TaskSpec(type: "t")
    change(&spec)
    return spec
}

@Suite struct SubmissionParserTests {
    /// The same request is the same whatever the order of its fields, its spaces between them, and its key; any other value is
    /// another request.
    @Test func requestsUnderAKeyAreToldApart() throws {
        func body(_ json: String) throws -> BodyDigest? { try parse(json).spec?.idempotency?.body }
        let sent = #""payload":{"a":1},"run_at":"2026-12-31T23:59:59Z""#
        let first = try #require(try body(#"{"task_type":"t","idempotency_key":"k",\#(sent)}"#))
        let again =
            #"{ "run_at" : "2026-12-31T23:59:59Z" , "payload" : {"a":1},"name":"t","idempotency_key":"l","queue":null}"#
        #expect(try body(again) == first)
        for other in [
            #"{"task_type":"u","idempotency_key":"k",\#(sent)}"#,
            #"{"task_type":"t","idempotency_key":"k","payload":{"a":2},"run_at":"2026-12-31T23:59:59Z"}"#,
            #"{"task_type":"t","idempotency_key":"k","payload":{"a":1},"run_at":"2026-12-31T23:59:58Z"}"#,
            #"{"task_type":"t","idempotency_key":"k","payload":{"a":1}}"#,
        ] {
            let digest = try #require(try body(other), "\(other)")
            #expect(digest != first, "\(other)")
        }
        let keys = #""idempotency_key":"k","idempotency_window":1.5,"ordering_key":"o""#
        let keyed = try #require(try parse(member: keys).spec)
        #expect(keyed.idempotency?.key == "k" && keyed.idempotency?.window == 1500 && keyed.orderingKey == "o")
        #expect(try parse(member: #""idempotency_key":"k""#).spec?.idempotency?.window == 86_400_000)
    }

    @Test func theTypeAloneIsATask() throws {
        #expect(try parse(#"{"task_type":"t"}"#).spec == TaskSpec(type: "t"))
    }

    @Test(arguments: [
        (
            #""queue":null,"priority":null,"timeout":null,"retry":null,"metadata":null,"run_at":null,"delay":null"#,
            expected { _ in }
        ),
        (
            #""idempotency_key":null,"ordering_key":null,"depends_on":null,"callback_url":null,"fairness_key":null"#,
            expected { _ in }
        ),
        (#""payload":null"#, expected { $0.payload = Array("null".utf8) }),
        (#""payload" : {"a" :  [1.0,"\u0041"]} "#, expected { $0.payload = Array(#"{"a" :  [1.0,"\u0041"]}"#.utf8) }),
        (#""data":"x""#, expected { $0.payload = Array(#""x""#.utf8) }),
        (#""priority":1"#, expected { $0.priority = .init(1) ?? .normal }),
        (#""priority":10"#, expected { $0.priority = .critical }),
        (#""priority":8.0"#, expected { $0.priority = .high }), (#""priority":"low""#, expected { $0.priority = .low }),
        (#""priority":"normal""#, expected { $0.priority = .normal }),
        (#""priority":"high""#, expected { $0.priority = .high }),
        (#""priority":"critical""#, expected { $0.priority = .critical }),
        (#""queue":"a""#, expected { $0.queue = "a" }),
        (#""queue":"0.mail_x-1""#, expected { $0.queue = "0.mail_x-1" }),
        (#""max_retries":0"#, expected { $0.retry.maxRetries = 0 }),
        (#""max_retries":100"#, expected { $0.retry.maxRetries = 100 }),
        (#""retry":{}"#, expected { _ in }),
        (
            #""retry":{"backoff":"linear","base":0.5,"max":60,"jitter":0}"#,
            expected {
                $0.retry = RetryPolicy(backoff: .linear, base: 500, maximum: 60_000, jitter: 0)
            }
        ),
        (
            #""retry":{"backoff":"none","base":0,"max":2592000,"jitter":1}"#,
            expected {
                $0.retry = RetryPolicy(backoff: .none, base: 0, maximum: 2_592_000_000, jitter: 1000)
            }
        ),
        (#""timeout":0.001"#, expected { $0.timeout = 1 }), (#""timeout":86400"#, expected { $0.timeout = 86_400_000 }),
        (#""timeout":1.2345"#, expected { $0.timeout = 1235 }), (#""timeout":2e1"#, expected { $0.timeout = 20_000 }),
        (#""delay":0"#, expected { _ in }), (#""delay":-0.0"#, expected { _ in }),
        (#""delay":1.5"#, expected { $0.delay = 1500 }),
        (#""delay":31536000"#, expected { $0.delay = 31_536_000_000 }),
        (#""run_at":"2027-01-15T08:00:10Z""#, expected { $0.delay = 10_000 }),
        (#""run_at":"2027-01-15T10:00:00.5+02:00""#, expected { $0.delay = 500 }),
        (#""run_at":"2001-01-01T00:00:00Z""#, expected { $0.delay = 0 }),
        (#""expires_in":60"#, expected { $0.expiry = 60_000 }),
        (#""expires_at":"2027-01-15t08:01:00z""#, expected { $0.expiry = 60_000 }),
        (#""delivery":"at_most_once""#, expected { $0.delivery = .atMostOnce }),
        (#""delivery":"at_least_once""#, expected { $0.delivery = .atLeastOnce }),
        (#""result_ttl":31536000"#, expected { $0.resultTTL = 31_536_000_000 }),
        (
            #""metadata":{"b":"2","a":"é"}"#,
            expected { $0.metadata = [.init(key: "a", value: "é"), .init(key: "b", value: "2")] }
        ),
    ])
    func goodFieldsAreRead(member: String, spec: TaskSpec) throws {
        let result = try parse(member: member)
        #expect(result.errors == [])
        #expect(result.spec == spec)
    }

    @Test(arguments: [
        (#""priority":0"#, "/priority", "must be 1...10, got 0"),
        (#""priority":11"#, "/priority", "must be 1...10, got 11"),
        (#""priority":5.5"#, "/priority", "must be 1...10, got 5.5"),
        (#""priority":1e999"#, "/priority", "must be 1...10, got a number that is too large"),
        (#""priority":-1e999"#, "/priority", "must be 1...10, got a number that is too large"),
        (#""priority":"urgent""#, "/priority", #"must be one of "low", "normal", "high", "critical", got "urgent""#),
        (#""priority":true"#, "/priority", "must be a whole number, got a boolean"),
        (#""queue":"""#, "/queue", #"must match [a-z0-9][a-z0-9._-]{0,62}, got """#),
        (#""queue":"Mail""#, "/queue", #"must match [a-z0-9][a-z0-9._-]{0,62}, got "Mail""#),
        (#""queue":7"#, "/queue", "must be a string, got a number"),
        (#""max_retries":101"#, "/max_retries", "must be 0...100, got 101"),
        (#""max_retries":-1"#, "/max_retries", "must be 0...100, got -1"),
        (#""max_retries":"3""#, "/max_retries", "must be a whole number, got a string"),
        (#""retry":3"#, "/retry", "must be an object, got a number"),
        (
            #""retry":{"backoff":"cubic"}"#, "/retry/backoff",
            #"must be one of "exponential", "linear", "fixed", "none", got "cubic""#
        ),
        (#""retry":{"base":-1}"#, "/retry/base", "must be 0...2592000 seconds, got -1"),
        (#""retry":{"max":2592001}"#, "/retry/max", "must be 0...2592000 seconds, got 2592001"),
        (#""retry":{"jitter":1.01}"#, "/retry/jitter", "must be 0...1, got 1.01"),
        (#""retry":{"jiter":1}"#, "/retry/jiter", #"unknown field "jiter", did you mean "jitter"?"#),
        (#""retry":{"base":1,"base":1}"#, "/retry/base", "given twice"),
        (#""timeout":0"#, "/timeout", "must be 0.001...86400 seconds, got 0"),
        (#""timeout":86400.1"#, "/timeout", "must be 0.001...86400 seconds, got 86400.1"),
        (#""timeout":1e308"#, "/timeout", "must be 0.001...86400 seconds, got 1e+308"),
        (#""timeout":"10""#, "/timeout", "must be a number of seconds, got a string"),
        (#""delay":-0.1"#, "/delay", "must be 0...31536000 seconds, got -0.1"),
        (#""delay":31536000.1"#, "/delay", "must be 0...31536000 seconds, got 31536000.1"),
        (
            #""run_at":"tomorrow""#, "/run_at",
            #"must be a date and time of RFC 3339, such as "2030-01-31T23:59:59Z", got "tomorrow""#
        ),
        (
            #""run_at":1"#, "/run_at",
            #"must be a date and time of RFC 3339, such as "2030-01-31T23:59:59Z", got a number"#
        ),
        (#""run_at":"2028-01-15T08:00:01Z""#, "/run_at", "must be within 31536000 seconds from now"),
        (#""delay":1,"run_at":"2027-01-15T08:00:10Z""#, "/run_at", #""delay" is given too: give one of them"#),
        (#""expires_in":0"#, "/expires_in", "must be 0.001...31536000 seconds, got 0"),
        (#""expires_in":5,"delay":5"#, "/expires_in", "it would expire before it may start"),
        (
            #""expires_at":"2027-01-15T08:00:00Z""#, "/expires_at",
            "must be in the future; it is 2027-01-15T08:00:00.000Z now"
        ),
        (#""expires_at":"2029-01-15T08:00:00Z""#, "/expires_at", "must be within 31536000 seconds from now"),
        (
            #""expires_in":5,"expires_at":"2027-01-15T09:00:00Z""#, "/expires_at",
            #""expires_in" is given too: give one of them"#
        ),
        (
            #""delivery":"exactly_once""#, "/delivery",
            #"must be one of "at_least_once", "at_most_once", got "exactly_once""#
        ),
        (#""result_ttl":0"#, "/result_ttl", "must be 0.001...31536000 seconds, got 0"),
        (#""metadata":[]"#, "/metadata", "must be an object, got an array"),
        (#""metadata":{"a":1}"#, "/metadata/a", "must be a string, got a number"),
        (#""metadata":{"a":null}"#, "/metadata/a", "must be a string, got null"),
        (#""metadata":{"":"x"}"#, "/metadata/", "the key must be 1...64 bytes, got 0"),
        (#""metadata":{"a":"x","\u0061":"y"}"#, "/metadata/a", "given twice"),
        (#""priorty":1"#, "/priorty", #"unknown field "priorty", did you mean "priority"?"#),
        (#""zzzzzzzz":1"#, "/zzzzzzzz", #"unknown field "zzzzzzzz""#),
        (#""a/b~c":1"#, "/a~1b~0c", #"unknown field "a/b~c""#),
        (#""queue":"a","queue":"a""#, "/queue", "given twice"),
        (#""queue":"a","\u0071ueue":"a""#, "/queue", "given twice"),
        (#""name":"t""#, "/name", #""task_type" and "name" are the same field: give one of them"#),
        (#""payload":1,"data":1"#, "/data", #""payload" and "data" are the same field: give one of them"#),
        (#""idempotency_key":"""#, "/idempotency_key", "must be 1...255 bytes, got 0"),
        (#""ordering_key":5"#, "/ordering_key", "must be a string, got a number"),
        (
            #""idempotency_window":5"#, "/idempotency_window",
            "there is no idempotency_key, in the body or as a header"
        ),
        (
            #""idempotency_key":"k","idempotency_window":0"#, "/idempotency_window",
            "must be 0.001...31536000 seconds, got 0"
        ),
        (#""fairness_key":"""#, "/fairness_key", "must be 1...255 bytes, got 0"),
        (#""depends_on":"x""#, "/depends_on", "must be an array of task ids, got a string"),
        (#""depends_on":[1]"#, "/depends_on/0", "must be the id of a task, got a number"),
        (#""depends_on":[null]"#, "/depends_on/0", "must be the id of a task, got null"),
        (#""depends_on":["x"]"#, "/depends_on/0", #"must be the id of a task (a UUID), got "x""#),
        (
            #""depends_on":["01900000-0000-7000-8000-000000000001","01900000-0000-7000-8000-000000000001"]"#,
            "/depends_on/1", "given twice"
        ),
        (
            #""on_dependency_failure":"run""#, "/on_dependency_failure",
            #""depends_on" names no task: leave it out, or name some"#
        ),
        (
            #""depends_on":["01900000-0000-7000-8000-000000000001"],"on_dependency_failure":"x""#,
            "/on_dependency_failure", #"must be one of "fail", "run", "cancel", got "x""#
        ),
        (
            #""callback_url":"ftp://x""#, "/callback_url",
            "must begin with http:// or https://, got \"ftp://x\""
        ),
        (#""callback_url":7"#, "/callback_url", "must be a URL such as \"https://example.com/done\", got a number"),
    ])
    func badFieldsAreToldApart(member: String, pointer: String, detail: String) throws {
        let result = try parse(member: member)
        #expect(result.spec == nil)
        #expect(result.errors == [.init(pointer: pointer, detail: detail)])
    }

    @Test(arguments: [
        ("{}", "/task_type", "is required"), (#"{"type":null}"#, "/task_type", "is required"),
        (#"{"name":""}"#, "/name", #"must be 1...63 bytes without control characters, got """#),
        (#"{"type":"a\tb"}"#, "/type", "must be 1...63 bytes without control characters, got \"a\tb\""),
        (#"{"task_type":1}"#, "/task_type", "must be a string, got a number"),
        ("[]", "", #"must be an object with a "task_type", got an array"#),
    ])
    func theTypeIsRequired(body: String, pointer: String, detail: String) throws {
        #expect(try parse(body).errors == [.init(pointer: pointer, detail: detail)])
    }

    @Test func namesAreAcceptedUpToTheirBound() throws {
        let longest = String(repeating: "a", count: Limits.nameBytes)
        #expect(try parse(#"{"type":"\#(longest)","queue":"\#(longest)"}"#).spec?.queue == longest)
        #expect(
            try parse(#"{"type":"\#(longest)a","queue":"\#(longest)a"}"#).errors.map(\.pointer) == ["/type", "/queue"])
    }

    @Test func aPayloadIsAcceptedUpToItsBound() throws {
        let text = String(repeating: "x", count: Limits.payloadBytes - 2)
        #expect(try parse(member: "\"payload\":\"\(text)\"").spec?.payload.count == Limits.payloadBytes)
        let error = try parse(member: "\"payload\":\"\(text)x\"").errors.first
        #expect(error == .init(pointer: "/payload", detail: "must be at most 1048576 bytes, got 1048577"))
    }

    @Test func metadataIsBounded() throws {
        func entries(_ count: Int) -> String { (0..<count).map { "\"k\($0)\":\"v\"" }.joined(separator: ",") }
        #expect(try parse(member: "\"metadata\":{\(entries(16))}").spec?.metadata.count == 16)
        #expect(try parse(member: "\"metadata\":{\(entries(5000))}").errors.map(\.pointer) == ["/metadata"])
        let (key, value) = (String(repeating: "k", count: 64), String(repeating: "v", count: 512))
        #expect(try parse(member: "\"metadata\":{\"\(key)\":\"\(value)\"}").spec?.metadata.first?.value == value)
        #expect(try parse(member: "\"metadata\":{\"\(key)k\":\"v\"}").errors.count == 1)
        #expect(try parse(member: "\"metadata\":{\"k\":\"\(value)v\"}").errors.count == 1)
    }

    @Test func allErrorsAreToldUpToABound() throws {
        let result = try parse(#"{"priority":0,"queue":"A","timeout":"x","foo":[{"a":1}],"max_retries":-1}"#)
        #expect(
            result.errors.map(\.pointer) == ["/priority", "/queue", "/timeout", "/foo", "/max_retries", "/task_type"])
        let many = (0..<1000).map { "\"zz\($0)\":0" }.joined(separator: ",")
        #expect(try parse("{\(many)}").errors.count == APILimits.reportedErrors)
    }

    @Test func dependenciesAreRead() throws {
        let ids = (0..<101).map { TaskID(high: 0x0190_0000_0000_7000, low: 1 << 63 | $0) }
        func list(_ count: Int) -> String { ids.prefix(count).map { "\"\($0)\"" }.joined(separator: ",") }
        let spec = try parse(member: "\"depends_on\":[\(list(100))],\"on_dependency_failure\":\"cancel\"").spec
        #expect(spec?.dependencies == TaskDependencies(parents: Array(ids.prefix(100)), onFailure: .cancel))
        #expect(try parse(member: "\"depends_on\":[]").spec?.dependencies == TaskDependencies.none)
        let errors = try parse(member: "\"depends_on\":[\(list(101))]").errors
        #expect(errors == [.init(pointer: "/depends_on", detail: "must name at most 100 tasks")])
    }

    @Test func everyNameOfAFieldIsKnown() {
        for field in SubmissionField.allCases {
            for name in field.names { #expect(SubmissionField(name) == field) }
        }
    }
}

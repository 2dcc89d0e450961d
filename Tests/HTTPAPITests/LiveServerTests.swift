import APIModel
import HTTPTypes
import Primitives
import Service
import TaskLedger
import Testing

@testable import HTTPAPI

private func post(_ body: String, to path: String = "/api/tasks", _ fields: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
}

private func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n" }

/// With `change`, and limits that a test can wait for where it waits for them.
private func settings(_ change: (inout APISettings) -> Void) -> APISettings {
    var settings = APISettings()
    settings.linger = .milliseconds(200)
    change(&settings)
    return settings
}

/// One after the other: they watch the clock.
@Suite(.serialized, .timeLimit(.minutes(2))) struct LiveServerTests {
    @Test func aConnectionServesManyRequests() async throws {
        try await withServer { server in
            try await server.connected { client in
                for _ in 0..<3 {
                    try await client.send(post(#"{"task_type":"echo","payload":[1, 2]}"#))
                    let accepted = try await client.response()
                    #expect(accepted.status == 202)
                    let location = try #require(accepted.headers[.location])
                    try await client.send(get(location))
                    #expect(try await client.response().text.contains("\"payload\":[1, 2],"))
                }
                try await client.send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n" + get("/livez"))
                let head = try await client.response(hasBody: false)
                #expect(head.headers[.contentLength].map { $0 != "0" } == true)
                #expect(try await client.response().text.hasPrefix(#"{"status":"live""#))
            }
        }
    }

    @Test(arguments: [
        "GET /livez HTTP/1.0\r\n\r\n", "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: TE, Close\r\n\r\n",
    ])
    func theConnectionIsClosedWhenTheClientWantsIt(request: String) async throws {
        try await withServer { server in
            try await server.connected { client in
                try await client.send(request)
                #expect(try await client.response().status == 200)
                #expect(try await client.isClosedSilently())
            }
        }
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withServer { server in
            try await server.connected { client in
                let names = (0..<50).map { "q\($0)" }
                try await client.send(
                    names.map { post(#"{"task_type":"echo","queue":"\#($0)"}"#) + get("/none") }.joined())
                for name in names {
                    #expect(try await client.response().decoded(as: AcceptedDocument.self).queue == name)
                    #expect(try await client.response().status == 404)
                }
            }
        }
    }

    @Test func chunkedBodiesAreRead() async throws {
        try await withServer { server in
            try await server.connected { client in
                try await client.send(
                    "POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"typ\r\n7\r\ne\":\"a\"}\r\n0\r\n\r\n"
                )
                #expect(try await client.response().status == 202)
            }
        }
    }

    @Test func aClientThatAsksFirstIsToldToContinue() async throws {
        try await withServer { server in
            try await server.connected { client in
                let request = post(#"{"type":"a"}"#, "Expect: 100-continue\r\n")
                try await client.send(String(request.dropLast(12)))
                #expect(try await client.response(hasBody: false).status == 100)
                try await client.send(String(request.suffix(12)))
                #expect(try await client.response().status == 202)
            }
        }
    }

    @Test(arguments: [
        ("GARBAGE\r\n\r\n", 400), ("GET /health HTTP/1.1\r\nBad Header: x\r\n\r\n", 400),
        ("POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        ("POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("GET /health HTTP/1.1\r\nX: \(String(repeating: "x", count: APILimits.headerBytes))\r\n\r\n", 431),
        ("GET /health HTTP/1.1\r\n\(String(repeating: "X: y\r\n", count: APILimits.headerFields + 1))\r\n", 431),
        ("GET /\(String(repeating: "x", count: APILimits.headerBytes)) HTTP/1.1\r\n\r\n", 431),
        (
            "GET /\(String(repeating: "x", count: APILimits.uriBytes)) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            414
        ),
    ])
    func malformedRequestsAreAnsweredAndCutOff(request: String, status: Int) async throws {
        try await withServer(settings: settings { _ in }) { server in
            try await server.connected { client in
                // A good request before it is answered first.
                try await client.send(get("/livez") + request)
                #expect(try await client.response().status == 200)
                let answer = try await client.response()
                #expect(answer.status == status)
                _ = try answer.problem()
                #expect(try await client.isClosedSilently())
            }
            #expect(server.service.submitted.isEmpty)
        }
    }

    @Test func aDeclaredBodyThatIsTooLargeIsRefusedUnread() async throws {
        try await withServer(settings: settings { _ in }) { server in
            try await server.connected { client in
                try await client.send(
                    "POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: \(Limits.bodyBytes + 1)\r\n\r\n{")
                let answer = try await client.response()
                #expect(try answer.problem().status == 413)
                #expect(try await client.isClosedSilently())
            }
        }
    }

    @Test func whatAClientStillSendsAfterAnErrorIsDropped() async throws {
        try await withServer(settings: settings { $0.linger = .seconds(30) }) { server in
            try await server.connected { client in
                try await client.send("POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
                #expect(try await client.response().status == 413)
                #expect(try await client.isClosedSilently())
                // Closed at once, the connection would be reset by these.
                for _ in 0..<64 { try await client.send(String(repeating: " ", count: 64 << 10)) }
            }
        }
    }

    @Test func aChunkedBodyThatIsTooLargeIsCutOff() async throws {
        try await withServer(settings: settings { _ in }) { server in
            try await server.connected { client in
                try await client.send("POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                let chunk = "100000\r\n" + String(repeating: " ", count: 1 << 20) + "\r\n"
                for _ in 0...16 { await client.sendUntilRefused(chunk) }
                #expect(try await client.response().problem().status == 413)
                _ = try await eventually { client.isClosed ? true : nil }
            }
        }
    }

    @Test func aBodyUpToTheLimitIsRead() async throws {
        try await withServer { server in
            try await server.connected { client in
                let task = #"{"type":"a"}"#
                try await client.send(post(task + String(repeating: " ", count: Limits.bodyBytes - task.utf8.count)))
                #expect(try await client.response().status == 202)
            }
        }
    }

    @Test(arguments: ["GET /health HTTP/1.1\r\nHost:", "\r", "POST /tasks HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"])
    func slowClientsAreCutOff(start: String) async throws {
        let settings = settings {
            $0.headTimeout = .milliseconds(150)
            $0.transferGrace = .milliseconds(150)
        }
        try await withServer(settings: settings) { server in
            try await server.connected { client in
                try await client.send(start)
                #expect(try await client.response().problem().status == 408)
                #expect(try await client.isClosedSilently())
            }
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        try await withServer(settings: settings { $0.idleTimeout = .seconds(1) }) { server in
            let isClosed = try await server.connected { client in try await client.isClosedSilently() }
            #expect(isClosed)
            try await server.connected { client in
                try await client.send(get("/livez"))
                #expect(try await client.response().status == 200)
                #expect(try await client.isClosedSilently())
            }
        }
    }

    @Test func aClientThatDoesNotReadIsCutOff() async throws {
        let service = FakeService()
        let payload = Array("\"\(String(repeating: "x", count: Limits.payloadBytes - 2))\"".utf8)
        service.update { state in
            var task = Samples.task
            task.spec.payload = payload
            state.lookups[Samples.id] = .found(task)
        }
        let settings = settings {
            $0.transferGrace = .milliseconds(300)
            $0.minimumRate = 1 << 30
        }
        try await withServer(service, settings: settings) { server in
            try await server.connected { client in
                try await client.readNothing()
                // More than the buffers of both ends hold.
                await client.sendUntilRefused(String(repeating: get("/tasks/\(Samples.id)"), count: 40))
                // A client that does not read learns of the end by its writes.
                _ = try await eventually {
                    await client.sendUntilRefused(get("/livez"))
                    return client.isClosed ? true : nil
                }
            }
        }
    }

    @Test func connectionsPastTheLimitAreRefused() async throws {
        try await withServer(settings: settings { $0.connections = 2 }) { server in
            try await server.connected { first in
                try await server.connected { second in
                    for client in [first, second] {
                        try await client.send(get("/livez"))
                        #expect(try await client.response().status == 200)
                    }
                    try await server.connected { third in
                        let answer = try await third.response()
                        #expect(try answer.problem().status == 503)
                        #expect(answer.headers[.retryAfter] == "1")
                        #expect(try await third.isClosedSilently())
                    }
                }
                // Room again, as soon as the server has noticed.
                _ = try await eventually {
                    try await server.connected { client in
                        await client.sendUntilRefused(get("/livez"))
                        return try await client.response().status == 200 ? true : nil
                    }
                }
            }
        }
    }

    // MARK: Long polls

    private func submit(_ client: RawClient) async throws -> TaskID {
        try await client.send(post(#"{"type":"a"}"#))
        return try await client.response().decoded(as: AcceptedDocument.self).id
    }

    private func waiters(_ server: LiveServer, _ count: Int) async throws {
        _ = try await eventually {
            server.service.update { $0.waiters.values.reduce(0) { $0 + $1.count } } == count ? true : nil
        }
    }

    @Test func aLongPollEndsWithItsTask() async throws {
        let settings = settings {
            $0.idleTimeout = .seconds(1)
            $0.headTimeout = .seconds(1)
            $0.transferGrace = .seconds(1)
        }
        try await withServer(settings: settings) { server in
            guard case .accepted(let task) = await server.service.submit([TaskSpec(type: "a")]).first else { return }
            try await server.connected { client in
                try await client.send(get("/tasks/\(task.id)?wait=60"))
                try await waiters(server, 1)
                // It outlives every limit of a connection: another one meets its own meanwhile.
                let isIdleClosed = try await server.connected { idle in try await idle.isClosedSilently() }
                #expect(isIdleClosed && !client.isClosed)
                server.service.finish(task.id, result: "true")
                let answer = try await client.response()
                #expect(answer.text.hasSuffix(#""result":true}"#))
                // The connection stays.
                try await client.send(get("/livez"))
                #expect(try await client.response().status == 200)
            }
        }
    }

    @Test func aLongPollEndsWhenItsClientLeaves() async throws {
        try await withServer { server in
            try await server.connected { client in
                let id = try await submit(client)
                try await client.send(get("/tasks/\(id)?wait=60"))
                try await waiters(server, 1)
            }
            try await waiters(server, 0)
        }
    }

    @Test func aLongPollEndsWhenTheServerDoes() async throws {
        try await withServer { server in
            try await server.connected { client in
                let id = try await submit(client)
                try await client.send(get("/tasks/\(id)?wait=60"))
                try await waiters(server, 1)
                await server.shutDown()
                #expect(try await client.response().decoded(as: TaskDocument.self).status == "pending")
                #expect(try await client.isClosedSilently())
            }
        }
    }

    @Test func halfABodyIsNoTask() async throws {
        try await withServer { server in
            try await server.connected { client in
                try await client.send(
                    "POST /tasks/batch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"type\":\"a\"}\n\r\n"
                )
                try await client.finishSending()
                _ = try await eventually { client.isClosed ? true : nil }
            }
            #expect(server.service.submitted.isEmpty)
        }
    }
}

import APIModel
import NIOHTTP1
import Testing

@testable import Command

extension ProcessTests {
    /// What a client does wrong is told as a problem document, and does no harm.
    @Suite struct BadInput {
        private struct Case {
            var method = HTTPMethod.POST
            var path = "/api/tasks"
            var body: String?
            var status: UInt
            /// Of the first error.
            var pointer: String?
        }

        private static let cases = [
            Case(body: #"{"task_type": "echo""#, status: 400),
            Case(body: "", status: 400),
            Case(body: "[]", status: 422),
            Case(body: "{}", status: 422, pointer: "/task_type"),
            Case(body: #"{"task_type": "echo", "priority": 11}"#, status: 422, pointer: "/priority"),
            Case(body: #"{"task_type": "echo", "prioritty": 1}"#, status: 422, pointer: "/prioritty"),
            Case(body: #"{"task_type": "echo", "queue": "A queue"}"#, status: 422, pointer: "/queue"),
            Case(body: #"{"task_type": "ecko"}"#, status: 422, pointer: "/task_type"),
            Case(body: #"{"task_type": "echo", "payload": "\#(String(repeating: "x", count: 1 << 20))"}"#, status: 422),
            Case(method: .GET, path: "/api/tasks/01980f4e-5b6a-7c3d-8e9f-0123456789ab", status: 404),
            Case(method: .GET, path: "/api/tasks?limit=0", status: 422, pointer: "?limit"),
            Case(method: .GET, path: "/api/nothing", status: 404),
            Case(method: .PUT, path: "/api/tasks", body: "{}", status: 405),
        ]

        @Test func mistakesAreProblems() async throws {
            try await LocalCluster.run(.init(nodes: 1, slots: 1)) { cluster in
                let node = cluster.nodes[0]
                for mistake in Self.cases {
                    let answer = try await node.send(mistake.method, mistake.path, body: mistake.body)
                    let what = "\(mistake.method) \(mistake.path) \(clipped(mistake.body ?? "", 60))"
                    #expect(answer.status == mistake.status, "\(what)")
                    let problem = try answer.decoded(as: ProblemDocument.self)
                    #expect(problem.status == Int(mistake.status), "\(what)")
                    #expect(!problem.title.isEmpty && !problem.detail.isEmpty, "\(what)")
                    if let pointer = mistake.pointer { #expect(problem.errors.first?.pointer == pointer, "\(what)") }
                }
                let accepted = try await node.submit("echo", "1")
                #expect(try await cluster.outcomes(of: [accepted.id]).first?.status == "completed")
            }
        }
    }
}

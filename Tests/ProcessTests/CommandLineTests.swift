import APIModel
import Foundation
import Testing

@testable import Command

extension ProcessTests {
    /// The verbs of `apus` as a user types them.
    @Suite struct CommandLineVerbs {
        private let supervisor: Supervisor
        private let home: String

        init() throws {
            supervisor = try Supervisor()
            home = supervisor.folder + "/home"
        }

        /// Runs a verb; its exit code has to be `code`.
        @discardableResult
        private func apus(_ arguments: String..., code: Int32 = 0) async throws -> String {
            let (actual, output) = try await Binary.run(arguments, home: home)
            // What `up` has started ends with the test, too.
            if let state = try ClusterHome(environment: ["APUS_HOME": home]).load() {
                for process in state.nodes.compactMap(\.process) + [state.redis?.process].compactMap(\.self) {
                    try supervisor.adopt(process)
                }
            }
            guard actual == code else {
                throw HarnessError("apus \(arguments) exits with \(actual), not \(code):\n\(output)")
            }
            return output
        }

        /// `status`, which takes less than a second however many nodes are dead or hang.
        private func status(code: Int32) async throws -> String {
            let begin = ContinuousClock.now
            let output = try await apus("status", code: code)
            #expect(ContinuousClock.now - begin < .seconds(1))
            return output
        }

        @Test func aClusterFromUpToDown() async throws {
            do {
                try await story()
            } catch {
                try await supervisor.end()
                throw error
            }
            try await supervisor.end()
        }

        private func story() async throws {
            try await apus("status", code: 2)
            let up = try await apus("up", "3", "--ports", "auto", "--slots", "2")
            #expect(up.contains("Redis started on port"))
            #expect(up.contains("3 of 3 started nodes ready"))
            try await awaitStatus(0)
            #expect(try await apus("up", "3").contains("running already: node-1, node-2, node-3"))

            let id = try await apus("submit", "echo", #"{"a": [1, 2]}"#).prefix(36)
            let task = try await apus("get", String(id), "--wait")
            #expect(task.contains("completed") && task.contains(#"{"a":[1,2]}"#), "\(task)")
            let many = try await apus("submit", "sleep", #"{"milliseconds": 5}"#, "--count", "50", "--wait")
            #expect(many.contains("50 completed"), "\(many)")
            #expect(try await apus("list", "--limit", "10", "--status", "completed").contains("sleep"))
            #expect(try await apus("workers").contains("6 slots"))
            #expect(try await apus("queues").contains("default"))
            #expect(try await apus("submit", "ecko", code: 1).contains("echo"))
            #expect(try await apus("submit", "echo", "{", code: 1).contains("not JSON"))

            #expect(try await apus("kill", "2").contains("killed node-2"))
            #expect(try await status(code: 1).contains("node-2 (here): killed"))
            #expect(try await apus("kill", "2", code: 1).contains("not running"))
            #expect(try await apus("pause", "3").contains("paused node-3"))
            #expect(try await status(code: 1).contains("node-3 (here): paused"))
            #expect(try await apus("resume", "3").contains("resumed node-3"))
            #expect(try await apus("restart", "2").contains("started node-2"))
            try await awaitStatus(0)
            #expect(try await apus("drain", "1").contains("draining"))
            #expect(try await apus("logs", "1", "-n", "5").isEmpty == false)

            let state = try ClusterHome(environment: ["APUS_HOME": home]).require()
            let down = try await apus("down", "--wipe")
            #expect(down.contains("stopped node-1, node-2, node-3") && down.contains("stopped Redis"), "\(down)")
            #expect(!down.contains("killed"), "all left by themselves: \(down)")
            #expect(state.nodes.allSatisfy { $0.process?.isAlive != true } && state.redis?.process?.isAlive != true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: home).sorted() == ["callback-secrets", "lock"])
        }

        private func awaitStatus(_ code: Int32) async throws {
            var last = ""
            let reached = try await eventually(within: .seconds(20), every: .milliseconds(100)) {
                let (actual, output) = try await Binary.run(["status"], home: home)
                last = output
                return actual == code
            }
            guard reached else { throw HarnessError("status does not become \(code):\n\(last)") }
        }
    }
}

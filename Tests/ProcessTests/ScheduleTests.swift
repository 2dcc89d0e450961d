import APIModel
import Foundation
import Primitives
import Testing

@testable import Command

extension ProcessTests {
    /// Schedules on real nodes: each time has one task, whoever dies.
    @Suite struct Schedules {
        private func set(_ node: TestNode, _ name: String, _ body: String) async throws -> ScheduleDocument {
            try await node.send(.PUT, "/api/schedules/\(name)", body: body).document(as: ScheduleDocument.self)
        }

        private func get(_ node: TestNode, _ name: String) async throws -> ScheduleDocument {
            try await node.get("/api/schedules/\(name)", as: ScheduleDocument.self)
        }

        /// Ascending by the times for which they are.
        private func tasks(_ node: TestNode, _ name: String) async throws -> [TaskDocument] {
            let page = try await node.get("/api/tasks?schedule=\(name)&limit=1000", as: TaskListDocument.self)
            #expect(page.missing.isEmpty)
            #expect(page.tasks.allSatisfy { $0.schedule == name && $0.scheduledFor != nil })
            return page.tasks.sorted { seconds($0) < seconds($1) }
        }

        private func seconds(_ task: TaskDocument) -> Int64 { (task.scheduledFor?.milliseconds ?? 0) / 1000 }
        private var now: Int64 { Int64(Date.now.timeIntervalSince1970) }

        private static let unregistered: LocalCluster.Options = {
            var options = LocalCluster.Options()
            // What has ended stays in the ledgers, so that listings show it.
            options.hasRedis = false
            return options
        }()

        @Test func everyTimeHasOneTaskThoughItsHomeIsKilled() async throws {
            try await LocalCluster.run(Self.unregistered) { cluster in
                let body =
                    #"{"cron": "* * * * * *", "overlap": "queue", "catch_up": "all", "task": {"task_type": "noop", "priority": 7}}"#
                let made = try await cluster.nodes[0].send(.PUT, "/api/schedules/tick", body: body)
                #expect(made.status == 201)
                #expect(try await cluster.nodes[0].send(.PUT, "/api/schedules/tick", body: body).status == 200)
                try await cluster.await("it fires") { try await self.get(cluster.nodes[1], "tick").recent.count >= 3 }

                let home = try await get(cluster.nodes[2], "tick").home
                let victim = try #require(cluster.nodes.first { $0.name == home })
                let others = cluster.nodes.filter { $0.name != home }
                let killed = now
                try await victim.kill()
                try await cluster.awaitHealthy(others, within: .seconds(10))
                try await cluster.await("it fires at its next home") {
                    let schedule = try await self.get(others[1], "tick")
                    return schedule.home != home
                        && schedule.recent.contains { $0.time.milliseconds / 1000 > killed + 3 }
                }
                #expect(try await others[0].send(.DELETE, "/api/schedules/tick").status == 204)
                let gone = now
                #expect(try await others[0].send(.DELETE, "/api/schedules/tick").status == 404)
                try await cluster.await("the other one knows that it is gone") {
                    try await others[1].send(.GET, "/api/schedules/tick").status == 404
                }
                try await cluster.await("some seconds more, and every task has ended") {
                    guard self.now > gone + 3 else { return false }
                    return try await self.tasks(others[0], "tick").allSatisfy { $0.status == "completed" }
                }
                let found = try await tasks(others[0], "tick")
                let times = found.map(seconds)
                let first = try #require(times.first)
                let last = try #require(times.last)
                #expect(times == Array(first...last), "each second once")
                #expect(last <= gone && last > killed + 3)
                #expect(found.allSatisfy { $0.priority == 7 && $0.orderingKey == nil && $0.idempotencyKey == nil })
                #expect(try await tasks(others[1], "tick").map(\.id) == found.map(\.id))
                let late = found.map { $0.createdAt.milliseconds - ($0.scheduledFor?.milliseconds ?? 0) }
                measured(
                    "\(found.count) firings, a second apart, their home killed: submitted late by "
                        + "\(late.sorted()[late.count / 2]) ms in the median, \(late.max() ?? 0) ms at worst")
            }
        }

        @Test func overlapsAreTreatedAsTheScheduleSaysAndAPauseEndsThem() async throws {
            try await LocalCluster.run(Self.unregistered) { cluster in
                let (first, second) = (cluster.nodes[0], cluster.nodes[1])
                func body(_ overlap: String, paused: Bool = false) -> String {
                    #"{"interval": 1, "overlap": "\#(overlap)", "paused": \#(paused), "task": {"task_type": "sleep", "payload": {"milliseconds": 2500}}}"#
                }
                for overlap in ["skip", "replace", "queue"] { _ = try await set(first, overlap, body(overlap)) }
                try await cluster.await("each has fired some times") {
                    for overlap in ["skip", "replace", "queue"] {
                        guard try await self.get(second, overlap).recent.count >= 7 else { return false }
                    }
                    return true
                }
                let skipping = try await get(second, "skip").recent
                #expect(skipping.contains { $0.outcome == "left_out" } && skipping.contains { $0.outcome == "fired" })
                let fired = Set(skipping.filter { $0.outcome == "fired" }.map(\.taskID))
                #expect(
                    skipping.filter { $0.outcome == "left_out" }.dropLast(3).allSatisfy { fired.contains($0.taskID) })
                for overlap in ["replace", "queue"] {
                    #expect(try await get(second, overlap).recent.allSatisfy { $0.outcome == "fired" })
                }
                for overlap in ["skip", "replace", "queue"] {
                    let paused = try await set(second, overlap, body(overlap, paused: true))
                    #expect(paused.isPaused && paused.next.isEmpty)
                }
                let counts = try await [
                    tasks(first, "skip").count, tasks(first, "replace").count, tasks(first, "queue").count,
                ]
                for id in try await tasks(first, "queue").filter({ $0.status == "blocked" }).map(\.id) {
                    _ = try await second.send(.DELETE, "/api/tasks/\(id)")
                }
                try await cluster.await("all have ended") {
                    for overlap in ["skip", "replace", "queue"] {
                        let open = try await self.tasks(second, overlap).contains { $0.finishedAt == nil }
                        if open { return false }
                    }
                    return true
                }
                for (overlap, count) in zip(["skip", "replace", "queue"], counts) {
                    let tasks = try await tasks(second, overlap)
                    #expect(tasks.count == count, "nothing of \(overlap) fires during the pause")
                    let ran = tasks.filter { $0.startedAt != nil }.sorted {
                        ($0.startedAt?.milliseconds ?? 0) < ($1.startedAt?.milliseconds ?? 0)
                    }
                    for (one, next) in zip(ran, ran.dropFirst()) {
                        let end = try #require(one.finishedAt).milliseconds
                        #expect(try #require(next.startedAt).milliseconds >= end - 2, "one at a time: \(overlap)")
                    }
                }
                #expect(try await tasks(second, "replace").contains { $0.status == "cancelled" })
                #expect(try await tasks(second, "skip").allSatisfy { $0.status == "completed" })
            }
        }

        @Test func manySchedulesFireInTimeOnAllNodes() async throws {
            try await LocalCluster.run(Self.unregistered) { cluster in
                let count = 100
                for number in 0..<count {
                    let body = #"{"interval": 1, "overlap": "queue", "task": {"task_type": "noop"}}"#
                    _ = try await set(cluster.nodes[number % 3], "s\(number)", body)
                }
                try await cluster.await("each has fired ten times") {
                    let all = try await cluster.nodes[0].get("/api/schedules", as: SchedulesDocument.self).schedules
                    return all.count == count && all.allSatisfy { $0.recent.count == 10 }
                }
                let all = try await cluster.nodes[1].get("/api/schedules", as: SchedulesDocument.self).schedules
                #expect(Set(all.compactMap(\.home)).count > 1, "they have several homes")
                var late: [Int64] = []
                for schedule in all {
                    let firings = schedule.recent.reversed()
                    for (one, next) in zip(firings, firings.dropFirst()) {
                        #expect(next.time.milliseconds - one.time.milliseconds == 1000)
                    }
                    late += firings.map { $0.taskID.createdAt.milliseconds - $0.time.milliseconds }
                }
                late.sort()
                measured(
                    "\(count) schedules, each every second, on three nodes: submitted late by \(late[late.count / 2]) ms in "
                        + "the median, \(late[late.count * 99 / 100]) ms at 99 %, \(late.last ?? 0) ms at worst")
            }
        }

        @Test func theCommandLineSetsShowsPausesAndDeletes() async throws {
            try await LocalCluster.run(Self.unregistered) { cluster in
                func apus(_ arguments: String...) async throws -> (code: Int32, output: String) {
                    try await Binary.run(
                        arguments + ["--node", cluster.nodes[1].url], home: cluster.nodes[1].data + "-home")
                }
                let set = try await apus(
                    "schedule", "set", "report", "--cron", "0 9 * * 1-5", "--time-zone", "Europe/Zurich", "echo", "[1]")
                #expect(set.code == 0 && set.output.contains("report: 0 9 * * 1-5 Europe/Zurich"), "\(set.output)")
                #expect(try await apus("schedule", "pause", "report").output.contains("paused"))
                let shown = try await get(cluster.nodes[0], "report")
                #expect(shown.isPaused && String(decoding: shown.task.payload.bytes, as: UTF8.self) == "[1]")
                #expect(try await apus("schedule", "resume", "report").code == 0)
                let list = try await apus("schedule", "list").output
                #expect(list.contains("report") && list.contains("T0"), "\(list)")
                let odd = try await apus(
                    "schedule", "set", "odd", "--cron", "0 9 * * *", "--time-zone", "Mars/Olympus", "echo")
                #expect(odd.code != 0 && odd.output.contains("Mars/Olympus"), "\(odd.output)")
                #expect(try await apus("schedule", "delete", "report").output.contains("deleted"))
                #expect(try await apus("schedule", "get", "report").code != 0)
            }
        }
    }
}

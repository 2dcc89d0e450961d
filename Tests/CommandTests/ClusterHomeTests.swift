import Foundation
import Testing

@testable import Command

/// What this machine remembers of its cluster, and the lock on it.
struct ClusterHomeTests {
    private let folder: TemporaryFolder
    private let home: ClusterHome

    init() throws {
        folder = try TemporaryFolder()
        home = ClusterHome(environment: ["APUS_HOME": folder.path])
    }

    @Test func aStateIsReadAsItWasWritten() throws {
        #expect(try home.load() == nil)
        var state = ClusterState(cluster: "here")
        state.redis = ClusterState.Redis(port: 6400, process: ProcessIdentity(pid: getpid()))
        let second = ClusterState.Node(
            index: 2, httpPort: 8001, peerPort: 9001, settings: ["sync": "never"],
            process: ProcessIdentity(pid: getpid()),
            startedAt: Date(timeIntervalSince1970: 1000.25),
            lastAction: ClusterState.Action(kind: .paused, at: Date(timeIntervalSince1970: 2000)))
        state.update(second)
        state.update(ClusterState.Node(index: 1, httpPort: 8000, peerPort: 9000))
        try home.save(state)
        #expect(try home.load() == state)
        #expect(state.nodes.map(\.index) == [1, 2])
        #expect(state.ports == [6400, 8000, 8001, 9000, 9001])
    }

    @Test(arguments: [#"{"version": 99, "cluster": "a", "nodes": []}"#, "{", #"{"version": 1}"#])
    func aFileOfAnotherKindIsRefused(text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: home.stateFile))
        #expect(throws: CommandFailure.self) { try home.load() }
    }

    /// Written before nodes had settings.
    @Test func anOlderFileIsUnderstood() throws {
        let text = #"{"version": 1, "cluster": "a", "nodes": [{"index": 1, "httpPort": 8000, "peerPort": 9000}]}"#
        try Data(text.utf8).write(to: URL(filePath: home.stateFile))
        #expect(try home.load()?.nodes.map(\.settings) == [nil])
    }

    @Test func aNodeIsStartedAgainAsItWas() throws {
        var state = ClusterState(cluster: "here")
        state.redis = ClusterState.Redis(port: 6400)
        state.update(ClusterState.Node(index: 1, httpPort: 8000, peerPort: 9000))
        let node = ClusterState.Node(
            index: 2, httpPort: 8001, peerPort: 9001, settings: ["sync": "interval:20ms", "max-queued": "7"])
        state.update(node)
        let arguments = try LocalNodes(home: home).arguments(of: node, in: state)
        let verb = try NodeVerb.parse(Array(arguments.dropFirst()))
        let settings = try NodeSettings(SettingSources(flags: verb.flags), processors: 1)
        #expect(arguments[0] == "node")
        #expect(settings.name.rawValue == "node-2" && settings.cluster == "here")
        #expect(settings.http.port == 8001 && settings.peer.port == 9001 && settings.gossip.port == 9001)
        #expect(settings.data == folder.path + "/node-2/data")
        #expect(settings.seeds.map(\.port) == [9000])
        #expect(settings.sync == .interval(.milliseconds(20)) && settings.maxQueued == 7)
    }

    @Test func aVerbWithoutAClusterSaysHowToGetOne() throws {
        let failure = #expect(throws: CommandFailure.self) { try home.require() }
        #expect(failure?.message.contains("./cluster up") == true)
        #expect(failure?.code == 2)
    }

    @Test func anUnknownNodeIsRefusedWithThoseThatAre() throws {
        var state = ClusterState()
        state.update(ClusterState.Node(index: 1, httpPort: 8000, peerPort: 9000))
        state.update(ClusterState.Node(index: 3, httpPort: 8002, peerPort: 9002))
        let failure = #expect(throws: CommandFailure.self) { try home.require(2, in: state) }
        #expect(failure?.message == "there is no node 2; there are: 1, 3")
    }

    @Test func oneVerbAtATime() async throws {
        let home = home
        let census = Census()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try await home.exclusively {
                        await census.enter()
                        for _ in 0..<20 { await Task.yield() }
                        await census.leave()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(await census.most == 1)
        #expect(await census.entries == 8)
    }

    private actor Census {
        private var now = 0
        private(set) var most = 0
        private(set) var entries = 0

        func enter() {
            now += 1
            entries += 1
            most = max(most, now)
        }

        func leave() { now -= 1 }
    }

    @Test func aNodesConditionSaysWhatHappenedToIt() throws {
        let now = Date(timeIntervalSince1970: 1000)
        var node = ClusterState.Node(index: 1, httpPort: 8000, peerPort: 9000)
        #expect(node.condition.text(at: now) == "stopped")
        node.process = ProcessIdentity(pid: getpid())
        #expect(node.condition == .running)

        let gone = #"{"pid": \#(getpid()), "startTicks": 1, "boot": "none"}"#
        node.process = try JSONDecoder().decode(ProcessIdentity.self, from: Data(gone.utf8))
        #expect(node.condition == .ended)
        node.lastAction = ClusterState.Action(kind: .killed, at: now - 3)
        #expect(node.condition.text(at: now) == "killed 3 s ago")
        node.lastAction = ClusterState.Action(kind: .stopped, at: now - 300)
        #expect(node.condition.text(at: now) == "stopped 5 min ago")
        node.lastAction = ClusterState.Action(kind: .paused, at: now)
        #expect(node.condition == .ended, "it ended while it was paused")
    }
}

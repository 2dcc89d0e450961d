import Journal
import Node
import Primitives
import Testing

@testable import Command

/// The settings of a node: where they come from, what beats what, and what is refused.
struct NodeSettingsTests {
    private func settings(
        flags: [NodeSetting: String] = [:], environment: [String: String] = [:], file: String? = nil,
        processors: Int = 4
    ) throws -> NodeSettings {
        let sources = SettingSources(flags: flags, environment: environment, file: file.map { ("apus.conf", $0) })
        return try NodeSettings(sources, processors: processors)
    }

    private func problems(
        flags: [NodeSetting: String] = [:], environment: [String: String] = [:], file: String? = nil
    ) -> [String] {
        do {
            _ = try settings(flags: flags, environment: environment, file: file)
            return []
        } catch let error as SettingsError {
            return error.problems
        } catch {
            Issue.record("threw \(error)")
            return []
        }
    }

    @Test func nothingSaidGivesACompleteNode() throws {
        let settings = try settings()
        #expect(settings.name.rawValue == "node-1")
        #expect(settings.http == Address(host: "127.0.0.1", port: 8000))
        #expect(settings.peer == Address(host: "127.0.0.1", port: 9000))
        #expect(settings.gossip == settings.peer)
        #expect(settings.advertise == "127.0.0.1")
        #expect(settings.data == "apus-data/node-1")
        #expect(settings.work == "apus-data/node-1/work")
        #expect(settings.registry == nil)
        #expect(settings.seeds.isEmpty)
        #expect(settings.cluster == "default")
        #expect(settings.slots == 8)
        #expect(settings.maxQueued == 1_000_000)
        #expect(settings.logLevel == .info)
    }

    @Test(arguments: [(0, 1), (1, 2), (2, 4), (512, 1024), (4096, 1024)])
    func slotsAreTwiceTheProcessorsWithinTheirRange(processors: Int, slots: Int) throws {
        #expect(try settings(processors: processors).slots == slots)
    }

    @Test func flagBeatsEnvironmentBeatsFileBeatsDefault() throws {
        let file = "slots = 3\nmax-queued = 30\ncluster = from-file"
        let environment = ["APUS_MAX_QUEUED": "20", "APUS_SLOTS": "2"]
        let settings = try settings(flags: [.slots: "1"], environment: environment, file: file)
        #expect(settings.slots == 1)
        #expect(settings.maxQueued == 20)
        #expect(settings.cluster == "from-file")
        #expect(settings.name.rawValue == "node-1")
    }

    @Test func originsTellWhoWon() {
        let sources = SettingSources(
            flags: [.slots: "1"], environment: ["APUS_SLOTS": "2", "APUS_CLUSTER": "c"],
            file: ("apus.conf", "# first\nslots = 3\n\nname = n"))
        #expect(sources.values[.slots]?.origin.description == "--slots")
        #expect(sources.values[.cluster]?.origin.description == "APUS_CLUSTER")
        #expect(sources.values[.name]?.origin.description == "apus.conf:4")
        #expect(sources.values[.http] == nil)
    }

    @Test func addressesFollowThePeerAddress() throws {
        let settings = try settings(flags: [.peer: "10.0.0.7:9100"])
        #expect(settings.gossip == Address(host: "10.0.0.7", port: 9100))
        #expect(settings.advertise == "10.0.0.7")
    }

    @Test func listsAndSpacesAreRead() throws {
        let file = "  # seeds of the rack\n seeds =  a.example:9000, 10.0.0.2:9001 \n\nmax_queued=7"
        let settings = try settings(file: file)
        #expect(settings.seeds == [Address(host: "a.example", port: 9000), Address(host: "10.0.0.2", port: 9001)])
        #expect(settings.maxQueued == 7)
    }

    @Test(arguments: [
        ("always", SyncPolicy.always), ("never", .never), ("interval", .interval(.milliseconds(100))),
        ("interval:250ms", .interval(.milliseconds(250))), ("interval:1ms", .interval(.milliseconds(1))),
        ("interval:60s", .interval(.seconds(60))),
    ])
    func syncIsOneOfThree(text: String, policy: SyncPolicy) throws {
        #expect(try settings(flags: [.sync: text]).sync == policy)
        #expect(SyncPolicy(setting: policy.setting) == policy, "what is shown can be said")
    }

    @Test(arguments: [
        "interval:0ms", "interval:61s", "interval:", "interval:5", "interval:-5ms", "interval:1.5s", "Always", "",
    ])
    func anotherSyncIsRefused(text: String) {
        #expect(problems(flags: [.sync: text]).first?.contains("one of always, interval, never") == true)
    }

    @Test(arguments: [
        (NodeSetting.sync, "allways", "`always`"), (.sync, "intervall", "`interval`"), (.onSplit, "stopp", "`stop`"),
        (.onSplit, "surive", "`survive`"), (.logLevel, "wraning", "`warning`"),
    ])
    func aWordThatIsNearlyRightIsToldTheRightOne(setting: NodeSetting, text: String, hint: String) {
        #expect(problems(flags: [setting: text]).first?.hasSuffix("; did you mean \(hint)?") == true)
    }

    @Test func whatHasToBeSafeIsSafeByDefault() throws {
        let settings = try settings()
        #expect(settings.sync == .always)
        #expect(settings.copies == 2)
        #expect(settings.onSplit == .survive)
    }

    @Test(arguments: [
        (NodeSetting.name, "Node 1", "--name: `Node 1` is not a name"),
        (.name, "", "is not a name"),
        (.http, "8000", "HOST:PORT"),
        (.http, "example.com:8000", "numeric host"),
        (.http, "127.0.0.1:0", "HOST:PORT"),
        (.peer, "127.0.0.1:70000", "HOST:PORT"),
        (.advertise, "example.com", "numeric address"),
        (.advertise, "0.0.0.0", "no address that others can connect to"),
        (.data, "", "a path"),
        (.registry, "http://127.0.0.1:6379", "expected redis://"),
        (.seeds, "a:1,,b", "a list of HOST:PORT"),
        (.seeds, "a:0", "a list of HOST:PORT"),
        (.cluster, "a/b", "1 to 63 of a-z"),
        (.slots, "0", "1 to 1024"),
        (.slots, "1025", "1 to 1024"),
        (.slots, "four", "1 to 1024"),
        (.maxQueued, "0", "1 to 100000000"),
        (.onSplit, "maybe", "one of survive, stop"),
        (.copies, "0", "1 to 5"),
        (.copies, "6", "1 to 5"),
        (.queues, "a,b", "not available yet"),
        (.logLevel, "loud", "one of trace, debug, info"),
        (.http, "127.0.0.1:9000", "two listeners need two ports"),
        (.peer, "0.0.0.0:9000", "say --advertise HOST too"),
        (.gossip, "[::]:9000", "say --advertise HOST too"),
    ])
    func aWrongValueIsRefusedWithWhatWasExpected(setting: NodeSetting, value: String, part: String) {
        let problems = problems(flags: [setting: value])
        #expect(problems.count == 1, "\(problems)")
        #expect(problems.first?.contains(part) == true, "\(problems)")
    }

    @Test(arguments: [
        ("slot = 4", "apus.conf:1: there is no setting `slot`; did you mean `slots`?"),
        ("\nmax-queud = 4", "apus.conf:2: there is no setting `max-queud`; did you mean `max-queued`?"),
        ("slots 4", "apus.conf:1: expected `key = value`, found `slots 4`"),
        ("slots = 4\nslots = 5", "apus.conf:2: `slots` was already set in line 1"),
        ("slots = x", "apus.conf:1: `x` is not a number from 1 to 1024"),
    ])
    func aWrongLineIsRefusedWithItsPlace(text: String, problem: String) {
        #expect(problems(file: text) == [problem])
    }

    @Test func anUnknownNameThatIsNearNothingListsWhatThereIs() {
        #expect(problems(file: "colour = red").first?.contains("known are: name, http, peer") == true)
    }

    @Test func anUnknownVariableIsRefusedAndOthersAreIgnored() {
        #expect(
            problems(environment: ["APUS_SLTS": "4"]) == [
                "there is no setting `APUS_SLTS` (environment); did you mean `APUS_SLOTS`?"
            ])
        #expect(problems(environment: ["APUS_HOME": "/tmp", "APUS_URL": "x", "PATH": "/bin", "SLOTS": "0"]).isEmpty)
    }

    @Test func everythingThatIsWrongIsToldAtOnce() {
        let problems = problems(
            flags: [.slots: "0", .name: "?"], environment: ["APUS_REGISTRY": "x"], file: "nmae = a")
        #expect(problems.count == 4, "\(problems)")
    }

    @Test func theRegistryIsShownWithoutItsPassword() throws {
        let settings = try settings(flags: [.registry: "redis://user:secret@cache.example:6400/3"])
        #expect(settings.registry?.password == "secret")
        #expect(!settings.shown.contains { $0.value.contains("secret") })
    }

    @Test func whatIsShownSaysTheSameAgain() throws {
        let first = try settings(flags: [
            .name: "a", .http: "10.0.0.1:80", .peer: "0.0.0.0:9", .advertise: "10.0.0.1", .registry: "redis://r:1/2",
            .seeds: "x:1,y:2", .slots: "3", .logLevel: "debug", .sync: "interval:20ms", .onSplit: "stop", .copies: "3",
        ])
        let unavailable: Set<NodeSetting> = [.queues]
        let said = first.shown.filter { $0.value != "-" && !unavailable.contains($0.setting) }
        let flags = Dictionary(uniqueKeysWithValues: said.map { ($0.setting, $0.value) })
        #expect(try settings(flags: flags, processors: 1) == first)
        #expect(first.shown.map(\.setting) == NodeSetting.allCases)
    }

    @Test(arguments: [
        ("slts", "slots"), ("cluser", "cluster"), ("HTTP", "http"), ("on_split", "on-split"), ("zzzzzz", nil),
    ])
    func theNearestNameIsFound(name: String, expected: String?) {
        #expect(nearestName(to: name, among: NodeSetting.allCases.map(\.key)) == expected)
    }
}

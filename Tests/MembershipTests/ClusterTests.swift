import Primitives
import Testing

@testable import Membership

@Suite struct ClusterTests {
    func cluster(_ count: Int, seed: UInt64 = 1) -> VirtualCluster {
        var cluster = VirtualCluster(count, seed: seed)
        cluster.startAll()
        return cluster
    }

    /// Time until `condition`, or nil.
    func time(
        _ cluster: inout VirtualCluster, within limit: Duration, until condition: (VirtualCluster) -> Bool
    ) -> Duration? {
        let start = cluster.now
        return cluster.run(for: limit, until: condition) ? cluster.now - start : nil
    }

    @Test(arguments: [2, 3, 5, 10, 40])
    func nodesThatJoinBySeedKnowEachOtherWithinASecond(_ count: Int) throws {
        var cluster = VirtualCluster(count, seed: 3)
        for index in 0..<count { cluster.start(index, seeds: index == 0 ? [] : [0]) }
        let taken = try #require(time(&cluster, within: .seconds(5)) { $0.isConverged(on: Array(0..<count)) })
        #expect(taken < .seconds(1))
        #expect(cluster.greatestDatagram <= GossipMessage.budget)
    }

    @Test func seedsThatAreNotThereYetAreTriedAgain() {
        var cluster = VirtualCluster(3, seed: 3)
        cluster.start(1, seeds: [0, 2])
        _ = cluster.run(for: .seconds(60))
        cluster.start(0, seeds: [])
        cluster.start(2, seeds: [])
        #expect(cluster.run(for: .seconds(11)) { $0.isConverged(on: [0, 1, 2]) })
    }

    @Test(arguments: 0..<20)
    func withProofAKilledNodeIsDeadEverywhereWithinTenMilliseconds(_ seed: UInt64) throws {
        for count in [2, 3, 5] {
            var cluster = cluster(count, seed: seed)
            let survivors = Array(1..<count)
            cluster.kill(0, witnesses: survivors)
            let taken = try #require(
                time(&cluster, within: .seconds(1)) { world in
                    survivors.allSatisfy { world.state(of: 0, at: $0) == .dead }
                })
            #expect(taken < .milliseconds(10))
        }
    }

    @Test(arguments: 0..<20)
    func withoutProofAKilledNodeIsDeadEverywhereWithinTwoSecondsAmongThree(_ seed: UInt64) throws {
        for unreachable in [false, true] {
            var cluster = cluster(3, seed: seed)
            cluster.reportsUnreachable = unreachable
            cluster.kill(2)
            let taken = try #require(
                time(&cluster, within: .seconds(10)) { world in
                    [0, 1].allSatisfy { world.state(of: 2, at: $0) == .dead }
                })
            #expect(taken < .seconds(2))
        }
    }

    @Test func oneWitnessAmongManyShortensTheSuspicionWithoutDecidingIt() throws {
        var cluster = cluster(5)
        cluster.kill(4, witnesses: [0])
        _ = cluster.run(for: .milliseconds(100))
        #expect([0, 1, 2, 3].allSatisfy { cluster.state(of: 4, at: $0) == .suspect })
        let taken = try #require(
            time(&cluster, within: .seconds(10)) { world in
                [0, 1, 2, 3].allSatisfy { world.state(of: 4, at: $0) == .dead }
            })
        #expect(taken < .milliseconds(1200))
    }

    /// The others' datagrams come back: they confirm what the witness saw.
    @Test(arguments: 0..<20) func oneWitnessIsConfirmedByUnreachablePortsWithinTenMilliseconds(_ seed: UInt64) throws {
        for count in [3, 5, 9] {
            var cluster = cluster(count, seed: seed)
            cluster.reportsUnreachable = true
            cluster.kill(0, witnesses: [1])
            let taken = try #require(
                time(&cluster, within: .seconds(1)) { world in
                    (1..<count).allSatisfy { world.isExitProven(of: 0, at: $0) }
                })
            #expect(taken < .milliseconds(10))
        }
    }

    @Test func withoutProofNoExitIsProven() {
        var cluster = cluster(5)
        cluster.reportsUnreachable = true
        cluster.kill(4)
        _ = cluster.run(for: .seconds(10))
        for observer in 0..<4 {
            #expect(cluster.state(of: 4, at: observer) == .dead)
            #expect(!cluster.isExitProven(of: 4, at: observer))
        }
    }

    @Test func withTwoOfThreeKilledTheSurvivorKnowsAtOnce() {
        var cluster = cluster(3)
        cluster.kill(1, witnesses: [0, 2])
        cluster.kill(2, witnesses: [0])
        #expect(
            cluster.run(for: .milliseconds(10)) {
                $0.state(of: 1, at: 0) == .dead && $0.state(of: 2, at: 0) == .dead
            })
    }

    @Test func aWrongProofIsRefuted() {
        for seed in 0..<20 as Range<UInt64> {
            var cluster = cluster(5, seed: seed)
            cluster.tell(.exitProof(VirtualCluster.node(3)), to: 0)
            #expect(cluster.state(of: 3, at: 0) == .suspect)
            _ = cluster.run(for: .seconds(5))
            #expect(cluster.isConverged(on: [0, 1, 2, 3, 4]))
            #expect(cluster.nodes[3].generation == 1)
        }
    }

    @Test(arguments: 0..<10)
    func tenPercentLossForAMinuteKillsNobody(_ seed: UInt64) {
        var cluster = cluster(5, seed: seed)
        cluster.loss = 0.1
        _ = cluster.run(for: .seconds(60))
        for observer in 0..<5 { #expect(!cluster.changes(at: observer).contains { $0.state == .dead }) }
        cluster.loss = 0
        #expect(cluster.run(for: .seconds(35)) { $0.isConverged(on: [0, 1, 2, 3, 4]) })
    }

    @Test func aRestartedNodeReplacesItself() {
        var cluster = cluster(3)
        cluster.kill(2)
        cluster.revive(2, seeds: [0])
        #expect(cluster.run(for: .seconds(1)) { $0.isConverged(on: [0, 1, 2]) })
        #expect(cluster.changes(at: 0).suffix(2).map(\.state) == [.dead, .alive])
    }

    @Test(arguments: 0..<10)
    func aNodeThatIsNotHeardReturnsOnceItCanBeHeard(_ seed: UInt64) {
        // Node 2 hears everything, and nobody hears it.
        var cluster = cluster(3, seed: seed)
        cluster.cutLinks(from: [2], to: [0, 1])
        #expect(cluster.run(for: .seconds(5)) { $0.isConverged(on: [0, 1]) })
        _ = cluster.run(for: .seconds(Int64(seed) * 3))
        #expect(cluster.state(of: 1, at: 0) == .alive && cluster.state(of: 0, at: 1) == .alive)
        cluster.heal()
        #expect(cluster.run(for: .seconds(25)) { $0.isConverged(on: [0, 1, 2]) })
        #expect(cluster.nodes[0].generation == 1 && cluster.nodes[1].generation == 1)
    }

    @Test(arguments: 0..<10)
    func aDeafNodeDoesNotTakeTheOthersDown(_ seed: UInt64) {
        // Node 2 is heard, and hears nothing: it accuses everybody.
        var cluster = cluster(3, seed: seed)
        cluster.cutLinks(from: [0, 1], to: [2])
        _ = cluster.run(for: .seconds(30))
        #expect(cluster.state(of: 2, at: 0) == .dead && cluster.state(of: 2, at: 1) == .dead)
        #expect(cluster.state(of: 1, at: 0) == .alive && cluster.state(of: 0, at: 1) == .alive)
        cluster.heal()
        #expect(cluster.run(for: .seconds(25)) { $0.isConverged(on: [0, 1, 2]) })
    }

    @Test(arguments: 0..<10)
    func oneCutLinkIsBridgedByHelpers(_ seed: UInt64) {
        var cluster = cluster(4, seed: seed)
        cluster.partition([0], [1])
        _ = cluster.run(for: .seconds(60))
        for observer in 0..<4 { #expect(cluster.changes(at: observer).allSatisfy { $0.state == .alive }) }
    }

    @Test(arguments: 0..<5)
    func theIsolatedNodeRejoins(_ seed: UInt64) {
        var cluster = cluster(3, seed: seed)
        cluster.partition([2], [0, 1])
        #expect(
            cluster.run(for: .seconds(30)) {
                $0.isConverged(on: [0, 1]) && $0.nodes[2].machine.livingOthers.isEmpty
            })
        // The two that stayed together have made a view meanwhile.
        for index in [0, 1] {
            cluster.tell(.viewChanged(number: 2), to: index)
        }
        _ = cluster.run(for: .seconds(120))
        cluster.heal()
        #expect(cluster.run(for: .seconds(21)) { $0.isConverged(on: [0, 1, 2]) })
        #expect(cluster.nodes.map(\.generation) == [1, 1, 2])
    }

    @Test(arguments: 0..<5)
    func anEvenPartitionHealsThoughNobodyWasAlone(_ seed: UInt64) {
        var cluster = cluster(4, seed: seed)
        cluster.partition([0, 3], [1, 2])
        #expect(cluster.run(for: .seconds(30)) { $0.isConverged(on: [0, 3]) && $0.isConverged(on: [1, 2]) })
        cluster.heal()
        #expect(cluster.run(for: .seconds(60)) { $0.isConverged(on: [0, 1, 2, 3]) })
    }

    @Test func aPausedNodeReturnsUnderANewGenerationAndAccusesNobody() {
        for seed in 0..<10 as Range<UInt64> {
            var cluster = cluster(3, seed: seed)
            cluster.pause(2)
            #expect(
                cluster.run(for: .seconds(10)) {
                    $0.state(of: 2, at: 0) == .dead && $0.state(of: 2, at: 1) == .dead
                })
            cluster.resume(2)
            #expect(cluster.run(for: .seconds(25)) { $0.isConverged(on: [0, 1, 2]) })
            #expect(cluster.nodes.map(\.generation) == [1, 1, 2])
        }
    }

    @Test func aLeaverIsLeftForEverybodyWithinASecondAndNeverDead() {
        for seed in 0..<10 as Range<UInt64> {
            var cluster = cluster(6, seed: seed)
            cluster.tell(.leave, to: 5)
            #expect(
                cluster.run(for: .seconds(1)) { world in
                    (0..<5).allSatisfy { world.state(of: 5, at: $0) == .left }
                })
            _ = cluster.run(for: .seconds(60))
            for observer in 0..<5 { #expect(!cluster.changes(at: observer).contains { $0.state == .dead }) }
            #expect(cluster.isConverged(on: [0, 1, 2, 3, 4]))
            #expect(!cluster.nodes[5].isRunning)
        }
    }

    @Test func theSameSeedGivesTheSameTrace() {
        func trace(_ seed: UInt64) -> UInt64 {
            var cluster = cluster(5, seed: seed)
            cluster.loss = 0.2
            cluster.kill(3, witnesses: [0])
            _ = cluster.run(for: .seconds(20))
            return cluster.trace
        }
        #expect(trace(42) == trace(42))
        #expect(trace(42) != trace(43))
    }

    @Test func aQuietClusterSendsFewDatagrams() {
        var cluster = cluster(5)
        let before = cluster.datagrams
        _ = cluster.run(for: .seconds(60))
        // Five times a second and node: a ping, an ack, three of gossip.
        #expect(cluster.datagrams - before <= 5 * 5 * 60 * 5 + 100)
    }
}

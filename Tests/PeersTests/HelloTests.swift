import Primitives
import Testing

@testable import Peers

@Suite struct HelloTests {
    static func hello(
        _ name: String = "a", generation: UInt64 = 1, versions: (UInt16, UInt16) = (1, 1), clusterName: String = "apus",
        cluster: ClusterID? = nil, expected: NodeID? = nil
    ) throws -> Hello {
        Hello(
            versions: try #require(VersionRange(versions.0, versions.1)), clusterName: clusterName, cluster: cluster,
            node: try nodeID(name, generation), expected: expected)
    }

    @Test func goldenBytes() throws {
        let full = try Self.hello(
            "n1", generation: 0x0102_0304, versions: (1, 3),
            cluster: ClusterID(high: 0x1122_3344_5566_7788, low: 0x99AA_BBCC_DDEE_FF00), expected: nodeID("n2", 7))
        let bytes: [UInt8] =
            [0x41, 0x50, 0x55, 0x53, 0, 1, 0, 3, 4] + Array("apus".utf8)
            + [1, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0x00]
            + [2] + Array("n1".utf8) + [0, 0, 0, 0, 1, 2, 3, 4]
            + [1, 2] + Array("n2".utf8) + [0, 0, 0, 0, 0, 0, 0, 7]
        #expect(full.encoded() == bytes)
        #expect(try Hello(decoding: bytes) == full)
        #expect(try Hello(decoding: bytes + [1, 2, 3]) == full, "later versions may append")
    }

    @Test func theLongestHelloIsWithinItsLimit() throws {
        let name = String(repeating: "n", count: Limits.nameBytes)
        let longest = try Self.hello(
            name, generation: .max, clusterName: name, cluster: ClusterID(high: .max, low: .max),
            expected: nodeID(name, .max))
        #expect(longest.encoded().count < Limits.helloBytes / 2, "leaves room for what later versions append")
    }

    @Test func everyTruncationIsRefused() throws {
        let bytes = try Self.hello(cluster: ClusterID(high: 1, low: 2), expected: nodeID("b")).encoded()
        for count in 0..<bytes.count {
            #expect(throws: (any Error).self) { try Hello(decoding: Array(bytes.prefix(count))) }
        }
    }

    @Test(arguments: 0..<200) func garbageIsRefusedOrDecodes(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var bytes = try Self.hello(expected: nodeID("b")).encoded()
        for _ in 0...Int.random(in: 0..<4, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        do {
            let hello = try Hello(decoding: bytes)
            #expect(try Hello(decoding: hello.encoded()) == hello)
        } catch {
            #expect(throws: error) { try Hello(decoding: bytes) }
        }
    }

    @Test(arguments: [(1, 1), (1, 2), (1, 4), (2, 2), (2, 4), (3, 4)] as [(UInt16, UInt16)])
    func theHighestCommonVersionIsChosen(range: (UInt16, UInt16)) throws {
        for other in [(1, 1), (1, 2), (1, 4), (2, 2), (2, 4), (3, 4)] as [(UInt16, UInt16)] {
            let common = Set(range.0...range.1).intersection(other.0...other.1).max()
            let mine = try Self.hello("a", versions: range)
            let theirs = try Self.hello("b", versions: other)
            switch mine.judge(theirs) {
            case .success(let version): #expect(version == common)
            case .failure(let refusal):
                #expect(common == nil && refusal == .versions(theirs: theirs.versions), "\(range) \(other)")
            }
            let isSymmetric = mine.judge(theirs).version == theirs.judge(mine).version
            #expect(isSymmetric)
        }
    }

    @Test func refusals() throws {
        let one = ClusterID(high: 0, low: 1)
        let two = ClusterID(high: 0, low: 2)
        let a = try Self.hello("a")
        let judged: [(Hello, Hello, Refusal?)] = [
            (a, try Self.hello("b"), nil),
            (a, try Self.hello("b", clusterName: "other"), .clusterName("other")),
            (a, try Self.hello("b", cluster: two), nil),
            (try Self.hello("a", cluster: one), try Self.hello("b"), nil),
            (try Self.hello("a", cluster: one), try Self.hello("b", cluster: one), nil),
            (try Self.hello("a", cluster: one), try Self.hello("b", cluster: two), .cluster(two)),
            (a, a, .itself),
            (a, try Self.hello("a", generation: 2), nil),
            (a, try Self.hello("b", expected: nodeID("a")), nil),
            (a, try Self.hello("b", expected: nodeID("a", 2)), .wrongNode(actual: a.node)),
            (a, try Self.hello("b", expected: nodeID("c")), .wrongNode(actual: a.node)),
            (
                try Self.hello("a", expected: nodeID("b", 1)), try Self.hello("b", generation: 2),
                .wrongNode(actual: try nodeID("b", 2))
            ),
        ]
        for (mine, theirs, expected) in judged {
            var refusal: Refusal?
            if case .failure(let failure) = mine.judge(theirs) { refusal = failure }
            #expect(refusal == expected, "\(mine) judging \(theirs)")
        }
    }
}

extension Result<UInt16, Refusal> {
    /// The version, or nil if refused.
    fileprivate var version: UInt16? {
        if case .success(let version) = self { version } else { nil }
    }
}

import Primitives
import Testing

@testable import Membership
@testable import Wire

@Suite struct GossipCodecTests {
    static let codec = GossipCodec(cluster: "apus")

    static func name(_ text: String) -> NodeName {
        guard let name = NodeName(text) else { preconditionFailure("\(text) is no name") }
        return name
    }

    static func id(_ text: String, _ generation: UInt64) -> NodeID {
        NodeID(name: name(text), generation: Generation(generation))
    }

    static let a = id("a", 0x0102)
    static let b = id("b", 3)
    static let place = Address(host: "::1", port: 7000)
    static let profile = MemberProfile(
        gossip: place, peer: Address(host: "::1", port: 7001), http: Address(host: "::1", port: 7002),
        disk: StoreID(0xD1), store: StoreID(0xD2), slots: 4)

    static func message(_ body: GossipMessage.Body, _ rumors: [Rumor] = []) -> GossipMessage {
        GossipMessage(
            sender: a,
            load: LoadDigest(ready: 1, open: 2, headPriority: 10, isDraining: true, freeSlots: 3, oldestAge: 4),
            viewNumber: 300, body: body, rumors: rumors)
    }

    static let bodies: [GossipMessage.Body] = [
        .ping(sequence: 0xA1B2_C3D4, target: b), .pingRequest(sequence: 5, target: b, address: place),
        .ack(sequence: 6, of: b), .nack(sequence: 7), .join, .welcome, .gossip,
    ]

    static let rumors: [Rumor] = [
        .alive(b, Incarnation(1), profile), .suspect(b, Incarnation(200), by: name("c"), hasProof: false),
        .suspect(b, Incarnation(.max), by: name("c"), hasProof: true),
        .dead(b, Incarnation(0), by: name("c"), isProven: false), .left(b, Incarnation(0)),
        .dead(b, Incarnation(0), by: name("c"), isProven: true),
    ]

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    // "AG", version, FNV-1a of "apus"; a@258; load; view 300.
    static let header = "414701bba45a0001610000000000000102" + "00000001000000020a01000300000004" + "ac02"
    static let bGolden = "01620000000000000003"

    static let bodyGoldens: [String] = [
        "01a1b2c3d4\(bGolden)", "0200000005\(bGolden)033a3a311b58", "0300000006\(bGolden)", "0400000007", "05", "06",
        "07",
    ]

    @Test(arguments: zip(0..<7, bodyGoldens))
    func everyKindOfMessageHasItsBytes(_ kind: Int, _ golden: String) throws {
        let message = Self.message(Self.bodies[kind])
        let bytes = Self.codec.encode(message)
        #expect(Self.hexadecimal(bytes) == Self.header + golden + "00")
        #expect(try Self.codec.decode(bytes[...]) == message)
    }

    static let rumorGoldens: [String] = [
        "01\(bGolden)01033a3a311b58033a3a311b59033a3a311b5a00000000000000d100000000000000d20004",
        "02\(bGolden)c8010163", "03\(bGolden)ffffffff0f0163", "04\(bGolden)000163", "05\(bGolden)00",
        "06\(bGolden)000163",
    ]

    @Test(arguments: zip(0..<6, rumorGoldens))
    func everyKindOfRumorHasItsBytes(_ kind: Int, _ golden: String) throws {
        let message = Self.message(.gossip, [Self.rumors[kind]])
        let bytes = Self.codec.encode(message)
        #expect(Self.hexadecimal(bytes) == Self.header + "07" + "01" + golden)
        #expect(try Self.codec.decode(bytes[...]) == message)
    }

    @Test func theMachineKnowsEverySize() {
        for body in Self.bodies {
            for count in 0...Self.rumors.count {
                for view in [0, 127, 128, 16_383, 16_384, UInt64(UInt32.max), .max] as [UInt64] {
                    var message = Self.message(body, Array(Self.rumors.prefix(count)))
                    message.viewNumber = view
                    #expect(Self.codec.encode(message).count == message.encodedBytes)
                }
            }
        }
    }

    @Test func theLongestAddressesAreCountedRight() {
        let longest = Address(host: String(repeating: "h", count: Limits.hostBytes), port: 1)
        var profile = Self.profile
        profile.peer = longest
        let message = Self.message(
            .pingRequest(sequence: 1, target: Self.b, address: longest), [.alive(Self.b, Incarnation(1), profile)])
        #expect(Self.codec.encode(message).count == message.encodedBytes)
    }

    /// With names of the greatest length and the longest numeric addresses.
    @Test func anIntroductionFitsIntoADatagramInTheWorstCase() {
        let longName = String(repeating: "n", count: Limits.nameBytes)
        let longest = Address(host: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", port: .max)
        var profile = Self.profile
        (profile.gossip, profile.peer, profile.http) = (longest, longest, longest)
        let id = Self.id(longName, .max)
        let message = GossipMessage(
            sender: id, load: LoadDigest(), viewNumber: .max,
            body: .pingRequest(sequence: .max, target: id, address: longest),
            rumors: [.alive(id, Incarnation(.max), profile), .dead(id, Incarnation(.max), by: id.name, isProven: true)])
        #expect(Self.codec.encode(message).count <= GossipMessage.budget)
        #expect(GossipMessage.budget + GossipMessage.sealBytes == Limits.datagramBytes)
    }

    @Test func whatTheMachineSendsNeverExceedsTheBudget() {
        var machine = Membership(myself: Self.a, profile: Self.profile, seed: 1)
        var effects: [Membership.Effect] = []
        var now = Instant.zero
        for number in 0..<255 {
            let id = Self.id("a-rather-long-name-of-a-node-\(number)", 1)
            let message = GossipMessage(
                sender: id, load: LoadDigest(), viewNumber: 0, body: .join,
                rumors: [.alive(id, Incarnation(0), Self.profile)])
            machine.handle(.received(message, from: Self.place), at: now, into: &effects)
        }
        for _ in 0..<200 {
            now = machine.nextDeadline
            machine.handle(.tick, at: now, into: &effects)
        }
        var greatest = 0
        for case .send(let message, _) in effects {
            let size = Self.codec.encode(message).count
            #expect(size == message.encodedBytes)
            greatest = max(greatest, size)
        }
        #expect(greatest <= GossipMessage.budget)
        #expect(greatest > GossipMessage.budget - 150)
    }

    // MARK: Refusals

    static let full = codec.encode(message(bodies[1], rumors))

    @Test func aTruncatedDatagramIsRefusedWhereverItEnds() {
        for length in 0..<Self.full.count {
            #expect(throws: GossipRefusal.self) { try Self.codec.decode(Self.full[..<length]) }
        }
    }

    @Test func trailingBytesAreRefused() {
        #expect(throws: GossipRefusal.malformed(.trailingBytes(1))) {
            try Self.codec.decode((Self.full + [0])[...])
        }
    }

    @Test func whatIsNoGossipIsRefused() {
        #expect(throws: GossipRefusal.notGossip) { try Self.codec.decode([]) }
        #expect(throws: GossipRefusal.notGossip) { try Self.codec.decode(Array("GET / HTTP/1.1".utf8)[...]) }
    }

    @Test func anotherVersionIsRefused() {
        var bytes = Self.full
        bytes[2] = 2
        #expect(throws: GossipRefusal.version(2)) { try Self.codec.decode(bytes[...]) }
    }

    @Test func anotherClusterIsRefused() {
        for name in ["apus2", "", "Apus", "apu"] {
            #expect(throws: GossipRefusal.otherCluster) { try GossipCodec(cluster: name).decode(Self.full[...]) }
        }
    }

    @Test func aDatagramOverTheLimitIsRefused() {
        let bytes = Self.full + [UInt8](repeating: 0, count: Limits.datagramBytes + 1 - Self.full.count)
        #expect(throws: GossipRefusal.tooLong(Limits.datagramBytes + 1)) { try Self.codec.decode(bytes[...]) }
    }

    @Test func moreRumorsThanFitAreRefused() {
        let rumors = (0..<GossipMessage.maximumRumors + 1).map { _ in
            Rumor.left(Self.id("b", 3), Incarnation(0))
        }
        let bytes = Self.codec.encode(Self.message(.gossip, rumors))
        #expect(throws: (any Error).self) { try Self.codec.decode(bytes[...]) }
        let fitting = Self.message(.gossip, Array(rumors.prefix(GossipMessage.maximumRumors - 8)))
        #expect(fitting.encodedBytes <= Limits.datagramBytes)
        #expect(throws: Never.self) { try Self.codec.decode(Self.codec.encode(fitting)[...]) }
    }

    /// A mutated datagram is refused, or it is some other message that is written in exactly these bytes.
    @Test(arguments: 0..<4)
    func mutationsAreRefusedOrWellFormed(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = Self.full
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 1: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                default: bytes.remove(at: place)
                }
            }
            do throws(GossipRefusal) {
                let message = try Self.codec.decode(bytes[...])
                #expect(Self.codec.encode(message) == bytes)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 5000)
    }

    // MARK: Push-pull

    @Test func aRecordKeepsItsAgesOnTheWay() throws {
        let record = MemberRecord(
            id: Self.b, profile: Self.profile, state: .dead, incarnation: Incarnation(9),
            since: Instant(nanoseconds: 1_000), load: LoadDigest(ready: 5), viewNumber: 7,
            heardAt: Instant(nanoseconds: 400), isExitProven: true)
        var writer = ByteWriter(now: Instant(nanoseconds: 1_500))
        writer.memberRecord(record)
        var reader = ByteReader(writer.bytes, now: Instant(nanoseconds: 9_500))
        var expected = record
        expected.since = Instant(nanoseconds: 9_000)
        expected.heardAt = Instant(nanoseconds: 8_400)
        #expect(try reader.memberRecord() == expected)
        #expect(throws: Never.self) { try reader.finish() }
        for length in 0..<writer.bytes.count {
            var short = ByteReader(writer.bytes[..<length], now: .zero)
            #expect(throws: WireError.self) { try short.memberRecord() }
        }
    }

    @Test func aRecordHasItsBytes() throws {
        let record = MemberRecord(
            id: Self.b, profile: Self.profile, state: .dead, incarnation: Incarnation(9),
            since: Instant(nanoseconds: 1_000), load: LoadDigest(ready: 5), viewNumber: 7, isExitProven: true)
        var writer = ByteWriter(now: Instant(nanoseconds: 1_500))
        writer.memberRecord(record)
        // b@3; three addresses, disk, store, slots; dead, incarnation 9, age, load, view 7, heard nothing, proven.
        let golden =
            "01620000000000000003" + "033a3a311b58033a3a311b59033a3a311b5a00000000000000d100000000000000d20004"
            + "02" + "09" + "00000000000001f4" + "00000005000000000000000000000000" + "07" + "00" + "01"
        #expect(Self.hexadecimal(writer.bytes) == golden)
    }

    @Test func aLivingMembersEndIsNotProven() {
        var writer = ByteWriter()
        writer.memberRecord(MemberRecord(id: Self.b, profile: Self.profile, since: .zero, isExitProven: true))
        var reader = ByteReader(writer.bytes)
        #expect(throws: WireError.invalid("proof of a living member's end")) { try reader.memberRecord() }
    }

    @Test func aRecordOfAnUnknownStateIsRefused() {
        var writer = ByteWriter()
        writer.memberRecord(MemberRecord(id: Self.b, profile: Self.profile, since: .zero))
        var bytes = writer.bytes
        bytes[10 + 18 + 18] = 9
        var reader = ByteReader(bytes)
        #expect(throws: WireError.invalid("member state")) { try reader.memberRecord() }
    }
}

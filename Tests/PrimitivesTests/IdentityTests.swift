import Primitives
import Testing

/// Names, addresses, cluster ids.
@Suite struct NodeIdentityTests {
    @Test(arguments: ["a", "0", "node-1.example_x", String(repeating: "a", count: 63)])
    func nameIsTaken(text: String) { #expect(NodeName(text)?.rawValue == text) }

    @Test(arguments: ["", "A", "-a", ".a", "_a", "a b", "ä", "a/b", String(repeating: "a", count: 64)])
    func nameIsRefused(text: String) { #expect(NodeName(text) == nil) }

    @Test(
        arguments: [
            ("10.0.0.1:80", "10.0.0.1", 80), ("[::1]:7400", "::1", 7400), ("host.example:0", "host.example", 0),
        ] as [(String, String, UInt16)])
    func addressIsRead(text: String, host: String, port: UInt16) throws {
        let address = try #require(Address(text))
        #expect(address == Address(host: host, port: port))
        #expect(address.description == text)
    }

    @Test(arguments: ["", "host", "host:", ":80", "host:65536", "host:-1", "::1:80", "[]:80", "host:8 0"])
    func addressIsRefused(text: String) { #expect(Address(text) == nil) }

    @Test func hostIsHeldToItsLimit() {
        let host = String(repeating: "h", count: Limits.hostBytes)
        #expect(Address(host + ":1") != nil)
        #expect(Address(host + "h:1") == nil)
    }

    @Test func clusterIDIsReadAsItIsWritten() {
        let id = ClusterID(high: 0x0123_4567_89AB_CDEF, low: 1)
        #expect(id.description == "0123456789abcdef0000000000000001")
        #expect(ClusterID(id.description) == id)
        for text in [
            "", "0123", "+" + id.description.dropFirst(), id.description + "0", String(repeating: "g", count: 32),
        ] {
            #expect(ClusterID(text) == nil, "\(text)")
        }
    }

    @Test func incarnationSaturates() {
        #expect(Incarnation(1).next == Incarnation(2))
        #expect(Incarnation(.max).next == Incarnation(.max))
    }
}

/// Ids of tasks, and tokens of their attempts.
@Suite struct TaskIdentityTests {
    static let text = "0190f3a1-2b3c-7def-8abc-0123456789ab"

    @Test func textIsReadInEitherCaseAndWrittenInLower() throws {
        #expect(TaskID(Self.text)?.description == Self.text)
        #expect(TaskID(Self.text.uppercased())?.description == Self.text)
    }

    @Test(arguments: [
        "", String(text.dropLast()), text + "0", text.replacing("-", with: ""), text.replacing("a", with: "g"),
        "0190f3a12-b3c-7def-8abc-0123456789ab", "0190f3a1-2b3c-7def-8abc-0123456789a\u{e4}",
    ])
    func otherTextIsRefused(text: String) { #expect(TaskID(text) == nil) }

    @Test func idsAscendAndAreOfVersion7() {
        var generator = TaskIDGenerator(seed: 1)
        var last = TaskID(high: 0, low: 0)
        for step in 0..<10_000 as Range<UInt64> {
            // The clock stands, goes back, goes on.
            let clock = 1_700_000_000_000_000 + (step.isMultiple(of: 3) ? step : 5000 - step / 2)
            let id = generator.next(for: LedgerID(0xF_1234), microseconds: clock)
            #expect(id > last)
            #expect(id.ledgerTag == TaskID.tag(of: LedgerID(0xF_1234)))
            last = id
        }
        #expect(last.high >> 12 & 0xF == 7)
        #expect(last.low >> 62 == 2)
        #expect(last.createdAt.milliseconds / 1000 == 1_700_000_000)
    }

    @Test func tagIsTheLowerPartOfTheNumber() {
        #expect(TaskID.tag(of: LedgerID(5)) == 5)
        #expect(TaskID.tag(of: LedgerID(1 << 20 | 7)) == 7)
    }

    @Test func laterTokensAreGreater() {
        let tokens = [
            Token(run: 1, term: Term(1), attempt: 9), Token(run: 1, term: Term(2), attempt: 1),
            Token(run: 1, term: Term(2), attempt: 2), Token(run: 2, term: Term(1), attempt: 1),
        ]
        #expect(tokens.sorted() == tokens)
        #expect(tokens[1].description == "1.2.1")
    }
}

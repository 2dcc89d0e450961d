import Testing

@testable import Primitives

@Suite struct TopicPatternTests {
    @Test(
        arguments: [
            ("a", "a", true), ("a", "b", false), ("a.b", "a.b", true), ("a.b", "a", false), ("a", "a.b", false),
            ("*", "a", true), ("*", "a.b", false), ("a.*.c", "a.b.c", true), ("a.*.c", "a.c", false),
            ("a.*.c", "a.b.b.c", false), ("#", "a", true), ("#", "a.b.c", true), ("a.#", "a", true),
            ("a.#", "a.b.c", true), ("a.#", "b.a", false), ("#.c", "c", true), ("#.c", "a.b.c", true),
            ("#.c", "a.b.d", false), ("a.#.c", "a.c", true), ("a.#.c", "a.x.y.c", true), ("a.#.c", "a.x.y", false),
            ("#.#", "a", true), ("#.b.#", "a.b.c", true), ("#.b.#", "a.c", false), ("*.#", "a", true),
            ("#.*.*", "a", false), ("A", "a", false),
        ] as [(String, String, Bool)])
    func whatMatches(pattern: String, topic: String, isMatch: Bool) throws {
        #expect(TopicPattern.isTopic(topic))
        #expect(try #require(TopicPattern(pattern)).matches(topic) == isMatch)
    }

    @Test(
        arguments: [
            "", ".", "a.", ".a", "a..b", "a b", "a*", "#b", "**", "ä", "a/b", String(repeating: "a", count: 256),
        ])
    func whatIsNoPattern(text: String) {
        #expect(TopicPattern(text) == nil)
        #expect(!TopicPattern.isTopic(text))
    }

    @Test func patternsAreNoTopics() {
        for text in ["*", "#", "a.*", "a.#.b"] { #expect(TopicPattern(text) != nil && !TopicPattern.isTopic(text)) }
    }

    /// Every way to divide the words between many `#` would be tried by a simpler matcher: this one takes no longer.
    @Test func manySignsCostNoMoreThanTheirNumber() throws {
        let pattern = try #require(TopicPattern(Array(repeating: "#.a", count: 60).joined(separator: ".") + ".b"))
        #expect(!pattern.matches(Array(repeating: "a", count: 127).joined(separator: ".")))
    }
}

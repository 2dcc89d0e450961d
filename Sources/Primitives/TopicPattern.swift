/// Which topics a subscription is for: words between dots, where `*` stands for one word and `#` for any number of words,
/// none as well. So `orders.*.paid` is for `orders.eu.paid`, and `orders.#` for `orders` and all below it.
///
/// The words and their meaning are those of AMQP 0-9-1, section 3.1.3.3 (topic exchanges).
public struct TopicPattern: Hashable, Sendable {
    public let text: String

    /// Nil: not dots between words of letters, digits, `_` and `-`, `*` or `#`, or longer than `Limits.topicBytes`.
    public init?(_ text: String) {
        guard Self.words(text, allowing: ["*", "#"]) != nil else { return nil }
        self.text = text
    }

    /// Whether messages may be published to it: a pattern without `*` and `#`.
    public static func isTopic(_ text: String) -> Bool { words(text, allowing: []) != nil }

    private static func words(_ text: String, allowing special: Set<Substring>) -> [Substring]? {
        guard text.utf8.count <= Limits.topicBytes else { return nil }
        let words = text.split(separator: ".", omittingEmptySubsequences: false)
        let areValid = words.allSatisfy { word in
            special.contains(word)
                || !word.isEmpty
                    && word.utf8.allSatisfy { byte in
                        switch byte {
                        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                            true
                        default: false
                        }
                    }
        }
        return areValid ? words : nil
    }

    public func matches(_ topic: String) -> Bool {
        let words = topic.split(separator: ".", omittingEmptySubsequences: false)
        // `matched[n]`: the pattern up to here matches the first n words. Steps: words of the pattern x words of the topic.
        var matched = [true] + Array(repeating: false, count: words.count)
        for part in text.split(separator: ".", omittingEmptySubsequences: false) {
            var next = Array(repeating: false, count: words.count + 1)
            if part == "#" { next[0] = matched[0] }
            for count in words.indices {
                next[count + 1] =
                    part == "#"
                    ? matched[count + 1] || next[count]
                    : matched[count] && (part == "*" || part == words[count])
            }
            matched = next
        }
        return matched[words.count]
    }
}

extension Limits {
    /// A topic, and a pattern of topics.
    public static let topicBytes = 255
}

import TaskExecution

/// `process`: data in the form at hand. A text is counted; anything else is a query of `data`.
///
///     "the quick brown fox"
///
/// The result for a text is `{"lines", "words", "characters", "bytes"}`. Lines end with a line feed, a carriage return or
/// both, or with the text; words are what white space separates; characters are those that a reader sees (extended
/// grapheme clusters).
struct ProcessHandler: TaskHandler {
    let taskType = "process"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        guard let text = try await OffloadPool.shared.run({ flag in try Self.text(attempt.payload, flag) }) else {
            return try await DataHandler().run(attempt)
        }
        return text
    }

    /// Nil: it is no text.
    private static func text(_ payload: [UInt8], _ flag: CancellationFlag) throws -> [UInt8]? {
        guard case .string(let text) = try JSONParser.parse(payload) else { return nil }
        var lines: Int64 = 0
        var words: Int64 = 0
        var characters: Int64 = 0
        var isInLine = false
        var isInWord = false
        for character in text {
            if characters % 4096 == 0 { try flag.check() }
            characters += 1
            if !character.isWhitespace, !isInWord { words += 1 }
            isInWord = !character.isWhitespace
            if character.isNewline { lines += 1 }
            isInLine = !character.isNewline
        }
        if isInLine { lines += 1 }
        return JSONValue.object([
            .init("lines", .integer(lines)), .init("words", .integer(words)),
            .init("characters", .integer(characters)), .init("bytes", .integer(Int64(text.utf8.count))),
        ]).bytes
    }
}

import Primitives
import Views

/// Reads the tasks of a batch: a JSON array, or NDJSON (one task a line, blank lines skipped).
///
/// An array that is not JSON is refused as a whole; of NDJSON only the line that is not.
enum BatchParser {
    enum Item {
        case task(SubmissionParser.Outcome)
        case malformed(JSONError)
    }

    /// - Parameter isLines: NDJSON, as the media type says; nil: it does not say, so an array is what begins with `[`.
    static func parse(_ body: [UInt8], isLines: Bool?, now: Timestamp, settings: ClusterSettings? = nil) throws(Problem)
        -> [Item]
    {
        var parser = JSONPullParser(body)
        parser.skipWhitespace()
        // No lines at all are a batch only for who says that there are lines.
        let startsArray = parser.position == body.count || body[parser.position] == UInt8(ascii: "[")
        return isLines ?? !startsArray ? try lines(body, now, settings) : try array(parser, now, settings)
    }

    private static func array(_ start: JSONPullParser, _ now: Timestamp, _ settings: ClusterSettings?) throws(Problem)
        -> [Item]
    {
        var parser = start
        var items: [Item] = []
        do {
            guard try parser.peek() == .array else {
                throw Problem.invalid("", "must be an array of tasks, or NDJSON as application/x-ndjson")
            }
            try parser.beginArray()
            var isFirst = true
            while try parser.nextElement(isFirst: &isFirst) {
                try checkCount(items)
                items.append(.task(try task(&parser, now, settings)))
            }
            try parser.finish()
        } catch let error as JSONError {
            throw Problem.malformed(error)
        } catch let problem as Problem {
            throw problem
        } catch {
            // Nothing else is thrown above; the compiler cannot know.
            throw Problem(.internalError, "the batch could not be read")
        }
        return items
    }

    private static func lines(_ body: [UInt8], _ now: Timestamp, _ settings: ClusterSettings?) throws(Problem) -> [Item]
    {
        var items: [Item] = []
        var start = 0
        while start < body.count {
            let end = body[start...].firstIndex(of: UInt8(ascii: "\n")) ?? body.count
            var parser = JSONPullParser(body, in: start..<end)
            start = end + 1
            parser.skipWhitespace()
            if parser.position == end { continue }
            try checkCount(items)
            do {
                let outcome = try task(&parser, now, settings)
                try parser.finish()
                items.append(.task(outcome))
            } catch {
                items.append(.malformed(error))
            }
        }
        return items
    }

    private static func task(
        _ parser: inout JSONPullParser, _ now: Timestamp, _ settings: ClusterSettings?
    ) throws(JSONError) -> SubmissionParser.Outcome {
        try SubmissionParser.parse(&parser, now: now, settings: settings, errorLimit: APILimits.reportedBatchErrors)
    }

    private static func checkCount(_ items: [Item]) throws(Problem) {
        guard items.count < Limits.batchTasks else {
            throw Problem(.contentTooLarge, "a batch may have \(Limits.batchTasks) tasks; nothing was accepted")
        }
    }
}

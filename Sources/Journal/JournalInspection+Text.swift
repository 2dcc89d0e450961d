import EventLoop
import Glibc
import Primitives

extension JournalInspection {
    /// For people: a table of the segments, and what a start would make of them.
    public var text: String {
        guard !segments.isEmpty else { return "There is no journal here: a start begins an empty one.\n" }
        var lines: [String] = []
        if let owner { lines += ["Journal of \(owner.name), store \(owner.store)", ""] }
        lines += table
        lines.append("")
        for segment in segments {
            guard let flaw = segment.flaw, segment.role != .superseded else { continue }
            let next = segment.intactAfterFlaw.map { "; the next intact group is at offset \($0)" } ?? ""
            lines.append("\(segment.file) offset \(segment.intactBytes): \(flaw)\(next)")
        }
        if let snapshot {
            lines.append("Snapshot \(snapshot.number): from \(snapshot.begin) to \(snapshot.end)")
        } else {
            lines.append("No complete snapshot: the records begin with the first one ever")
        }
        if let lastNamed { lines.append("Known to have been durable: up to \(lastNamed)") }
        if let refusal {
            lines.append("A start refuses it: \(refusal)")
        } else if let tornTail {
            lines.append("A start cuts a torn tail: \(tornTail)")
        } else {
            lines.append("Intact: a start goes on with it")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private var table: [String] {
        let head = ["segment", "bytes", "groups", "records", "in records", "first written", "last written", ""]
        let rows = segments.map { segment in
            [
                segment.file, String(segment.bytes), String(segment.groups), String(segment.records),
                String(segment.recordBytes), segment.writtenAt.map { WallTime($0.lowerBound).text } ?? "-",
                segment.writtenAt.map { WallTime($0.upperBound).text } ?? "-", Self.remark(segment),
            ]
        }
        let numbers = 1...4
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].utf8.count }.max() ?? 0 }
        return ([head] + rows).map { row in
            let cells = row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].utf8.count)
                return numbers.contains(column) ? padding + row[column] : row[column] + padding
            }
            let line = cells.joined(separator: "  ")
            return String(line.prefix(line.count - line.reversed().prefix { $0 == " " }.count))
        }
    }

    private static func remark(_ segment: Segment) -> String {
        switch segment.role {
        case .superseded: "superseded"
        case .prepared: segment.flaw == nil ? "prepared" : "being prepared"
        case .inUse: segment.flaw == nil ? "" : "flawed"
        }
    }
}

/// Microseconds since 1970, in UTC.
struct WallTime {
    private var parts = tm()
    private let microseconds: UInt64

    init(_ microseconds: UInt64) {
        self.microseconds = microseconds
        var seconds = time_t(clamping: microseconds / 1_000_000)
        gmtime_r(&seconds, &parts)
    }

    private func digits(_ number: Int32, _ count: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }

    /// RFC 3339, with milliseconds.
    var text: String {
        let day = "\(digits(parts.tm_year + 1900, 4))-\(digits(parts.tm_mon + 1, 2))-\(digits(parts.tm_mday, 2))"
        let time = "\(digits(parts.tm_hour, 2)):\(digits(parts.tm_min, 2)):\(digits(parts.tm_sec, 2))"
        return "\(day)T\(time).\(digits(Int32(microseconds / 1000 % 1000), 3))Z"
    }

    /// For the name of a file.
    var compact: String { text.filter { $0 != "-" && $0 != ":" } }
}

import TaskExecution

/// Reads CSV (RFC 4180) of UTF-8 into columns of fields.
///
/// Beyond the RFC: a byte-order mark is skipped; a record ends with CRLF, LF or CR; the delimiter may be any ASCII
/// character; a quote inside a field that does not begin with one stands for itself; lines without any character are
/// skipped. Refused, with the line's number: a record with more or fewer fields than there are columns, anything but a
/// delimiter after a closing quote, a quote that is not closed, bytes that are not UTF-8, a column named twice.
struct CSVParser {
    struct Format: Sendable {
        var delimiter: UInt8 = UInt8(ascii: ",")
        /// Whether the first record names the columns.
        var hasHeader = true
        /// Names instead of those of the header, which then may have any number of fields.
        var names: [String] = []
    }

    private let bytes: [UInt8]
    private let format: Format
    private let place: String
    private var position = 0
    private var line = 1

    private init(_ bytes: [UInt8], _ format: Format, _ place: String) {
        self.bytes = bytes
        self.format = format
        self.place = place
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    static func parse(
        _ bytes: [UInt8], _ format: Format, at place: String, _ flag: CancellationFlag
    ) throws -> Table {
        var parser = CSVParser(bytes, format, place)
        let (names, columns, rowCount) = try parser.columns(flag)
        var table = Table(columns: [], rowCount: rowCount)
        for (name, fields) in zip(names, columns) {
            try flag.check()
            table.columns.append(Table.Column(name: name, fields: fields))
        }
        return table
    }

    private mutating func columns(_ flag: CancellationFlag) throws -> ([String], [[String]], Int) {
        var names = format.names
        if format.hasHeader, let header = try record(), names.isEmpty { names = header }
        var columns: [[String]] = []
        var rowCount = 0
        if !names.isEmpty { columns = try start(names) }
        while true {
            let recordLine = line
            guard let fields = try record() else { break }
            if names.isEmpty {
                names = (1...fields.count).map { "column\($0)" }
                columns = try start(names)
            }
            guard fields.count == columns.count else {
                throw failure("has \(fields.count) fields, expected \(columns.count)", line: recordLine)
            }
            rowCount += 1
            guard rowCount <= HandlerLimits.dataRows, rowCount * columns.count <= HandlerLimits.dataCells else {
                throw Self.tooLarge(place)
            }
            for index in columns.indices { columns[index].append(fields[index]) }
            if rowCount % 1024 == 0 { try flag.check() }
        }
        guard !names.isEmpty else { throw HandlerError.invalidPayload("\(place) has no header and no rows") }
        return (names, columns, rowCount)
    }

    static func tooLarge(_ place: String) -> HandlerError {
        HandlerError(
            type: "too_large",
            message:
                "\(place) has more than \(HandlerLimits.dataRows) rows or \(HandlerLimits.dataCells) cells: split it",
            isRetryable: false)
    }

    private func start(_ names: [String]) throws(HandlerError) -> [[String]] {
        try Self.checkNames(names, place)
        return names.map { _ in [] }
    }

    static func checkNames(_ names: [String], _ place: String) throws(HandlerError) {
        guard names.count <= HandlerLimits.dataColumns else {
            throw .invalidPayload(
                "\(place) has \(names.count) columns, at most \(HandlerLimits.dataColumns) are allowed")
        }
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted {
            throw .invalidPayload("\(place) names the column \"\(name)\" twice")
        }
    }

    private func failure(_ what: String, line: Int) -> HandlerError {
        .invalidPayload("\(place): the record in line \(line) \(what)")
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private var isAtLineEnd: Bool { next == UInt8(ascii: "\n") || next == UInt8(ascii: "\r") }

    private mutating func skipLineEnd() {
        guard isAtLineEnd else { return }
        if bytes[position] == UInt8(ascii: "\r"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "\n")
        {
            position += 1
        }
        position += 1
        line += 1
    }

    /// The next record, or nil at the end.
    private mutating func record() throws(HandlerError) -> [String]? {
        while isAtLineEnd { skipLineEnd() }
        guard next != nil else { return nil }
        let start = line
        var fields: [String] = []
        while true {
            fields.append(try next == UInt8(ascii: "\"") ? quoted(start) : plain(start))
            guard fields.count <= HandlerLimits.dataColumns else {
                throw failure("has more than \(HandlerLimits.dataColumns) fields", line: start)
            }
            guard next == format.delimiter else { break }
            position += 1
        }
        skipLineEnd()
        return fields
    }

    private mutating func plain(_ start: Int) throws(HandlerError) -> String {
        let first = position
        while let byte = next, byte != format.delimiter, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") {
            position += 1
        }
        return try text(bytes[first..<position], start)
    }

    private mutating func quoted(_ start: Int) throws(HandlerError) -> String {
        position += 1
        var content: [UInt8] = []
        while true {
            guard let byte = next else { throw failure("has a quote that is not closed", line: start) }
            position += 1
            if byte == UInt8(ascii: "\"") {
                guard next == UInt8(ascii: "\"") else { break }
                position += 1
            }
            // Counts line ends within fields too: LF, and CR that no LF follows.
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") && next != UInt8(ascii: "\n") { line += 1 }
            content.append(byte)
        }
        guard next == nil || next == format.delimiter || isAtLineEnd else {
            throw failure("has something after a closing quote (a quote inside a field is written twice)", line: start)
        }
        return try text(content[...], start)
    }

    private func text(_ bytes: ArraySlice<UInt8>, _ line: Int) throws(HandlerError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw failure("is not UTF-8", line: line) }
        return text
    }
}

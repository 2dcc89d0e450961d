import TaskExecution

/// The payload of `data`, decoded. See `DataHandler` for what it means.
struct DataQuery: Sendable {
    enum Source: Sendable {
        case csv(CSVParser.Format, Content)
        case json(Content)
        /// JSON rows inside the payload.
        case rows([JSONValue])
    }

    enum Content: Sendable {
        case text([UInt8])
        /// A path under the work folder.
        case file(String)
    }

    struct SortKey: Sendable {
        var column: String
        var isDescending: Bool
    }

    var source: Source
    var filters: [Filter]
    var groupBy: [String]
    var aggregates: [Aggregate]
    var sort: [SortKey]
    var limit: Int?
    var select: [String]

    init(_ payload: JSONValue) throws(HandlerError) {
        let fields = try Fields(
            payload, at: "payload",
            known: ["input", "filter", "group_by", "aggregate", "sort", "limit", "select"])
        let clauses = HandlerLimits.dataClauses
        source = try Self.source(try fields.required("input", fields.value("input")))
        filters = []
        for (index, value) in try fields.array("filter", upTo: clauses).enumerated() {
            filters.append(try Filter(value, at: "payload.filter[\(index)]"))
        }
        groupBy = try fields.strings("group_by", upTo: clauses)
        aggregates = []
        for (index, value) in try fields.array("aggregate", upTo: clauses).enumerated() {
            aggregates.append(try Aggregate(value, at: "payload.aggregate[\(index)]"))
        }
        if !groupBy.isEmpty, aggregates.isEmpty {
            throw fields.failure("aggregate", "is missing: group_by needs at least one, such as {\"op\": \"count\"}")
        }
        try CSVParser.checkNames(groupBy + aggregates.map(\.name), "the result")
        sort = []
        for (index, value) in try fields.array("sort", upTo: clauses).enumerated() {
            let key = try Fields(value, at: "payload.sort[\(index)]", known: ["column", "descending"])
            sort.append(
                SortKey(
                    column: try key.required("column", try key.string("column")),
                    isDescending: try key.boolean("descending") ?? false))
        }
        limit = try fields.integer("limit", in: 0...HandlerLimits.dataRows)
        select = try fields.strings("select", upTo: clauses)
        try CSVParser.checkNames(select, "payload.select")
    }

    private enum InputFormat: String, CaseIterable {
        case csv
        case json
    }

    private static func source(_ value: JSONValue) throws(HandlerError) -> Source {
        let fields = try Fields(
            value, at: "payload.input",
            known: ["format", "text", "file", "rows", "delimiter", "header", "columns"])
        let format = try fields.choice("format", InputFormat.self)
        let given = ["text", "file", "rows"].filter { fields.value($0) != nil }
        guard given.count == 1 else {
            throw .invalidPayload(
                "payload.input must have exactly one of text, file and rows; it has \(given.count)")
        }
        if let rows = fields.value("rows") {
            guard format != .csv, case .array(let elements) = rows else {
                throw fields.failure("rows", "must be an array of objects, and format \"json\"")
            }
            try refuseCSVOptions(fields)
            return .rows(elements)
        }
        let content: Content =
            if let text = try fields.string("text") {
                .text(Array(text.utf8))
            } else {
                .file(try fields.required("file", try fields.string("file")))
            }
        switch try fields.required("format", format) {
        case .csv: return .csv(try csvFormat(fields), content)
        case .json:
            try refuseCSVOptions(fields)
            return .json(content)
        }
    }

    private static func refuseCSVOptions(_ fields: Fields) throws(HandlerError) {
        for name in ["delimiter", "header", "columns"] where fields.value(name) != nil {
            throw fields.failure(name, "is for format \"csv\" only")
        }
    }

    private static func csvFormat(_ fields: Fields) throws(HandlerError) -> CSVParser.Format {
        var format = CSVParser.Format()
        if let delimiter = try fields.string("delimiter") {
            guard delimiter.utf8.count == 1, let byte = delimiter.utf8.first, byte < 0x80,
                !"\"\r\n\0".utf8.contains(byte)
            else { throw fields.failure("delimiter", "must be one ASCII character, no quote and no line end") }
            format.delimiter = byte
        }
        format.hasHeader = try fields.boolean("header") ?? true
        format.names = try fields.strings("columns", upTo: HandlerLimits.dataColumns)
        return format
    }
}

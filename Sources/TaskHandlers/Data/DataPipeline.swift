import Primitives
import TaskExecution

/// Reads the table of a query, and takes it through the steps in a fixed order: filter, group and aggregate, sort,
/// limit, select. `sort` and `select` name columns of what the steps before them made. Groups stand in the order in
/// which their first rows came; rows that compare equal keep their order.
struct DataPipeline {
    let query: DataQuery
    let folder: WorkFolder
    let flag: CancellationFlag

    /// `{"columns": [...], "rows": [{...}], "input_rows": n}`
    func run() throws -> [UInt8] {
        var table = try read()
        let inputRows = table.rowCount
        var rows = Array(0..<table.rowCount)
        for filter in query.filters {
            try flag.check()
            rows = try filter.apply(to: table, rows)
        }
        if !query.aggregates.isEmpty {
            table = try aggregate(table, rows)
            rows = Array(0..<table.rowCount)
        }
        rows = try sort(table, rows)
        if let limit = query.limit { rows = Array(rows.prefix(limit)) }
        try flag.check()
        return try result(table, rows, inputRows: inputRows)
    }

    private func read() throws -> Table {
        switch query.source {
        case .csv(let format, let content):
            return try CSVParser.parse(try bytes(of: content), format, at: "the CSV", flag)
        case .json(let content):
            guard case .array(let rows) = try JSONParser.parse(try bytes(of: content)) else {
                throw HandlerError.invalidPayload("the JSON input must be an array of objects")
            }
            return try table(rows)
        case .rows(let rows): return try table(rows)
        }
    }

    private func bytes(of content: DataQuery.Content) throws -> [UInt8] {
        switch content {
        case .text(let bytes): bytes
        case .file(let name):
            try folder.read(name, at: "payload.input.file", upTo: HandlerLimits.inputFileBytes)
        }
    }

    /// Columns stand in the order in which rows first name them; what a row does not name is null.
    private func table(_ rows: [JSONValue]) throws -> Table {
        var indices: [String: Int] = [:]
        var names: [String] = []
        var columns: [[Cell]] = []
        for (number, row) in rows.enumerated() {
            guard case .object(let members) = row else {
                throw HandlerError.invalidPayload("row \(number + 1) is \(row.kind), expected an object")
            }
            for member in members {
                guard let cell = Cell(member.value) else {
                    throw HandlerError.invalidPayload(
                        "row \(number + 1), column \"\(member.name)\" is \(member.value.kind), expected a single value")
                }
                let index = indices[member.name] ?? columns.count
                if index == columns.count {
                    guard columns.count < HandlerLimits.dataColumns else {
                        throw HandlerError.invalidPayload(
                            "the rows have more than \(HandlerLimits.dataColumns) columns")
                    }
                    indices[member.name] = index
                    names.append(member.name)
                    columns.append(Array(repeating: .null, count: number))
                }
                columns[index].append(cell)
            }
            for index in columns.indices where columns[index].count <= number { columns[index].append(.null) }
            guard number < HandlerLimits.dataRows, (number + 1) * columns.count <= HandlerLimits.dataCells else {
                throw CSVParser.tooLarge("the input")
            }
            if number % 1024 == 0 { try flag.check() }
        }
        return Table(
            columns: zip(names, columns).map { Table.Column(name: $0, cells: $1) }, rowCount: rows.count)
    }

    private func aggregate(_ table: Table, _ rows: [Int]) throws -> Table {
        var keys: [Table.Column] = []
        for name in query.groupBy { keys.append(table.columns[try table.index(of: name, "payload.group_by")]) }
        // Without group_by everything is one group, also when there are no rows.
        var groups: [[Int]] = keys.isEmpty ? [rows] : []
        if !keys.isEmpty {
            var numbers: [[Cell]: Int] = [:]
            for (position, row) in rows.enumerated() {
                let key = keys.map { $0.cells[row] }
                if let number = numbers[key] {
                    groups[number].append(row)
                } else {
                    guard groups.count < HandlerLimits.dataGroups else {
                        throw HandlerError(
                            type: "too_large",
                            message: "payload.group_by makes more than \(HandlerLimits.dataGroups) groups",
                            isRetryable: false)
                    }
                    numbers[key] = groups.count
                    groups.append([row])
                }
                if position % 1024 == 0 { try flag.check() }
            }
        }
        var result = Table(columns: [], rowCount: groups.count)
        for key in keys {
            result.columns.append(
                Table.Column(name: key.name, kind: key.kind, cells: groups.map { key.cells[$0[0]] }))
        }
        for aggregate in query.aggregates {
            let source = try aggregate.source(in: table)
            var figures: [Cell] = []
            for group in groups {
                try flag.check()
                figures.append(try aggregate.figure(source, group))
            }
            result.columns.append(Table.Column(name: aggregate.name, cells: figures))
        }
        return result
    }

    private func sort(_ table: Table, _ rows: [Int]) throws -> [Int] {
        guard !query.sort.isEmpty else { return rows }
        var keys: [(cells: [Cell], isDescending: Bool)] = []
        for (number, key) in query.sort.enumerated() {
            let index = try table.index(of: key.column, "payload.sort[\(number)]")
            keys.append((table.columns[index].cells, key.isDescending))
        }
        // Swift's sort is stable in practice but does not promise it: the row's number decides last.
        return rows.enumerated().sorted { a, b in
            for key in keys {
                let (first, second) = (key.cells[a.element], key.cells[b.element])
                // Nulls are last in either direction.
                if (first == .null) != (second == .null) { return second == .null }
                if Cell.precedes(first, second) { return !key.isDescending }
                if Cell.precedes(second, first) { return key.isDescending }
            }
            return a.offset < b.offset
        }.map(\.element)
    }

    private func result(_ table: Table, _ rows: [Int], inputRows: Int) throws -> [UInt8] {
        var columns = table.columns
        if !query.select.isEmpty {
            columns = []
            for name in query.select { columns.append(table.columns[try table.index(of: name, "payload.select")]) }
        }
        // A lower bound, so that a result that cannot fit is not built first.
        let least = rows.count * columns.reduce(2) { $0 + $1.name.utf8.count + 5 }
        var bytes: [UInt8] = []
        if least <= Limits.resultBytes {
            bytes =
                JSONValue.object([
                    .init("columns", .array(columns.map { .string($0.name) })),
                    .init(
                        "rows",
                        .array(rows.map { row in .object(columns.map { .init($0.name, $0.cells[row].json) }) })),
                    .init("input_rows", .integer(Int64(inputRows))),
                ]).bytes
        }
        guard least <= Limits.resultBytes, bytes.count <= Limits.resultBytes else {
            throw HandlerError(
                type: "too_large",
                message: "\(rows.count) rows of \(columns.count) columns make more than \(Limits.resultBytes) bytes of "
                    + "result: use filter, limit, select or aggregate",
                isRetryable: false)
        }
        return bytes
    }
}

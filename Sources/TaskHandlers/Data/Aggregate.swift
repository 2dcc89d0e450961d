import TaskExecution

/// One figure of a group of rows. Nulls do not count.
///
/// `count` without a column counts rows, with one its values. `min` and `max` take columns of any one kind; the others
/// take numbers only. Without values `sum` is 0 and the others are null. `var` and `std` divide by n - `ddof` (0 unless
/// said, as numpy does; 1 for a sample) and are null if that is not positive. Sums of integers are exact, and become a
/// number when 64 bits do not hold them; other sums are compensated, so that the order of rows hardly shows.
struct Aggregate: Sendable {
    enum Operation: String, CaseIterable, Sendable {
        case count
        case sum
        case mean
        case min
        case max
        case median
        case std
        case variance = "var"
    }

    let place: String
    let operation: Operation
    /// Nil only for `count`.
    let column: String?
    /// Of the result's column.
    let name: String
    let ddof: Int

    init(_ value: JSONValue, at place: String) throws(HandlerError) {
        let fields = try Fields(value, at: place, known: ["op", "column", "as", "ddof"])
        self.place = place
        operation = try fields.required("op", try fields.choice("op", Operation.self))
        column = try fields.string("column")
        guard operation == .count || column != nil else { throw fields.failure("column", "is missing") }
        name = try fields.string("as") ?? [operation.rawValue, column].compactMap(\.self).joined(separator: "_")
        ddof = try fields.integer("ddof", in: 0...1) ?? 0
        if fields.value("ddof") != nil, operation != .std, operation != .variance {
            throw fields.failure("ddof", "is for \"std\" and \"var\" only")
        }
    }

    /// The column that is read, if any, after a check that its kind fits.
    func source(in table: Table) throws(HandlerError) -> Table.Column? {
        guard let column else { return nil }
        let source = table.columns[try table.index(of: column, "\(place).column")]
        let fits =
            switch (operation, source.kind) {
            case (.count, _), (_, .integer), (_, .number), (_, .empty): true
            case (.min, .text), (.max, .text), (.min, .boolean), (.max, .boolean): true
            default: false
            }
        guard fits else {
            let example = source.cells.firstIndex { $0 != .null && $0.double == nil }
            let shown = example.map { ", such as \(source.cells[$0].shown) in row \($0 + 1)" } ?? ""
            throw .invalidPayload(
                "\(place): \(operation.rawValue) takes numbers, but the column \"\(column)\" holds "
                    + "\(source.kind) values\(shown)")
        }
        return source
    }

    func figure(_ source: Table.Column?, _ rows: [Int]) throws(HandlerError) -> Cell {
        guard let source else { return .integer(Int64(rows.count)) }
        let cells = rows.lazy.map { source.cells[$0] }.filter { $0 != .null }
        let figure: Cell
        switch operation {
        case .count: figure = .integer(Int64(cells.count))
        case .min: figure = cells.min(by: Cell.precedes) ?? .null
        case .max: figure = cells.max(by: Cell.precedes) ?? .null
        case .sum: figure = source.kind == .number ? .number(Statistics.sum(cells.compactMap(\.double))) : sum(cells)
        case .mean: figure = Self.cell(Statistics.mean(cells.compactMap(\.double)))
        case .median: figure = Self.cell(Statistics.median(cells.compactMap(\.double)))
        case .variance: figure = Self.cell(Statistics.variance(cells.compactMap(\.double), ddof: ddof))
        case .std: figure = Self.cell(Statistics.variance(cells.compactMap(\.double), ddof: ddof)?.squareRoot())
        }
        if case .number(let value) = figure, !value.isFinite {
            throw HandlerError(
                type: "not_finite",
                message: "\(place): the \(operation.rawValue) of \"\(source.name)\" is beyond a double",
                isRetryable: false)
        }
        return figure
    }

    private static func cell(_ value: Double?) -> Cell { value.map { .number($0) } ?? .null }

    private func sum(_ cells: some Sequence<Cell>) -> Cell {
        var sum: Int128 = 0
        for case .integer(let value) in cells { sum += Int128(value) }
        return Int64(exactly: sum).map { .integer($0) } ?? .number(Double(sum))
    }
}

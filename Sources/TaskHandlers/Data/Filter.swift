import TaskExecution

/// Keeps the rows whose cell of one column fulfils a condition.
///
/// `==` and `!=` compare any two values, null included (1 equals 1.0); `<`, `<=`, `>` and `>=` compare numbers with
/// numbers and texts with texts by their Unicode scalars; `contains` looks for a part of a text; `in` takes an array of
/// values. Null fulfils nothing but `== null`, `!=` and an `in` that lists it. A value of another kind than the
/// column's is an error, except in a column of mixed kinds, where such cells are just different.
struct Filter: Sendable {
    enum Operation: String, CaseIterable, Sendable {
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case contains
        case isIn = "in"
    }

    let place: String
    let column: String
    let operation: Operation
    /// One value; for `in` any number of them.
    let values: [Cell]

    init(_ value: JSONValue, at place: String) throws(HandlerError) {
        // `null` is a value here, which `Fields` takes for absent.
        let fields = try Fields(value, at: place, known: ["column", "op", "value"])
        self.place = place
        column = try fields.required("column", try fields.string("column"))
        operation = try fields.required("op", try fields.choice("op", Operation.self))
        guard case .object(let members) = value, members.contains(where: { $0.name == "value" }) else {
            throw fields.failure("value", "is missing")
        }
        switch (operation, fields.value("value") ?? .null) {
        case (.isIn, .array(let elements)):
            var cells: [Cell] = []
            for (index, element) in elements.enumerated() {
                guard let cell = Cell(element) else {
                    throw fields.failure("value[\(index)]", "is \(element.kind), expected a single value")
                }
                cells.append(cell)
            }
            values = cells
        case (.isIn, let other): throw fields.failure("value", "is \(other.kind), expected an array for \"in\"")
        case (_, let other):
            guard let cell = Cell(other) else {
                throw fields.failure("value", "is \(other.kind), expected a single value")
            }
            values = [cell]
        }
        try checkOperand(fields)
    }

    private func checkOperand(_ fields: Fields) throws(HandlerError) {
        switch operation {
        case .equal, .notEqual, .isIn: return
        case .contains:
            if case .text = values[0] { return }
            throw fields.failure("value", "is \(values[0].json.kind), expected a string for \"contains\"")
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            if values[0].double != nil { return }
            if case .text = values[0] { return }
            throw fields.failure("value", "is \(values[0].json.kind), expected a number or a string")
        }
    }

    /// The numbers of the rows to keep, out of `rows`.
    func apply(to table: Table, _ rows: [Int]) throws(HandlerError) -> [Int] {
        let column = table.columns[try table.index(of: column, place)]
        try checkKind(column)
        return rows.filter { isFulfilled(by: column.cells[$0]) }
    }

    private func checkKind(_ column: Table.Column) throws(HandlerError) {
        for value in values where value != .null {
            let fits =
                switch (column.kind, value) {
                case (.mixed, _), (.empty, _): true
                case (.integer, .integer), (.integer, .number), (.number, .integer), (.number, .number): true
                case (.text, .text), (.boolean, .boolean): true
                default: false
                }
            guard fits else {
                throw .invalidPayload(
                    "\(place).value is \(value.shown), but the column \"\(column.name)\" holds \(column.kind) values")
            }
        }
    }

    private func isFulfilled(by cell: Cell) -> Bool {
        func ordered(_ compare: (Cell, Cell) -> Bool) -> Bool {
            cell.isComparable(to: values[0]) && compare(cell, values[0])
        }
        switch operation {
        case .equal: return Cell.equals(cell, values[0])
        case .notEqual: return !Cell.equals(cell, values[0])
        case .less: return ordered { Cell.precedes($0, $1) }
        case .lessOrEqual: return ordered { !Cell.precedes($1, $0) }
        case .greater: return ordered { Cell.precedes($1, $0) }
        case .greaterOrEqual: return ordered { !Cell.precedes($0, $1) }
        case .contains:
            guard case .text(let text) = cell, case .text(let part) = values[0] else { return false }
            return part.isEmpty || text.contains(part)
        case .isIn: return values.contains { Cell.equals(cell, $0) }
        }
    }
}

import Primitives
import TaskExecution

/// Rows of cells under named columns, stored by column.
///
/// A column has a kind. What CSV says as text becomes: integers if every cell of the column that is not empty is one,
/// else numbers if every one is a number as JSON writes it (`nan` and `007` are texts), else texts. An empty cell is
/// null. Columns of JSON rows keep their kinds; integers among numbers become numbers.
struct Table: Sendable {
    struct Column: Sendable {
        enum Kind: String, Sendable {
            case integer
            case number
            case text
            case boolean
            /// Values of several kinds (only from JSON).
            case mixed
            /// Nothing but nulls.
            case empty
        }

        var name: String
        var kind: Kind
        var cells: [Cell]
    }

    var columns: [Column]
    var rowCount: Int

    /// The column of that name; `place` is where the payload names it.
    func index(of name: String, _ place: String) throws(HandlerError) -> Int {
        if let index = columns.firstIndex(where: { $0.name == name }) { return index }
        let names = columns.map(\.name)
        let hint =
            nearestName(to: name, among: names).map { "did you mean \"\($0)\"?" }
            ?? "there are \(names.prefix(20).joined(separator: ", "))\(names.count > 20 ? " ..." : "")"
        throw .invalidPayload("\(place) names the column \"\(name)\", which does not exist: \(hint)")
    }

    /// The rows of these numbers, in that order.
    func taking(_ rows: [Int]) -> Table {
        Table(
            columns: columns.map { column in
                Column(name: column.name, kind: column.kind, cells: rows.map { column.cells[$0] })
            },
            rowCount: rows.count)
    }
}

extension Table.Column {
    /// A column of JSON values: its kind follows from them.
    init(name: String, cells: [Cell]) {
        var kind = Kind.empty
        for cell in cells {
            let own: Kind =
                switch cell {
                case .null: kind
                case .boolean: .boolean
                case .integer: .integer
                case .number: .number
                case .text: .text
                }
            switch (kind, own) {
            case (.empty, _): kind = own
            case (.integer, .number), (.number, .integer): kind = .number
            default: if kind != own { kind = .mixed }
            }
            if kind == .mixed { break }
        }
        let isWidened = kind == .number
        self.init(
            name: name, kind: kind,
            cells: isWidened ? cells.map { cell in cell.double.map { .number($0) } ?? cell } : cells)
    }

    /// A column of CSV fields.
    init(name: String, fields: [String]) {
        var kind = Kind.empty
        for field in fields where !field.isEmpty {
            switch Self.number(field) {
            case nil: kind = .text
            case .integer where kind == .empty: kind = .integer
            case .integer: break
            case .some: kind = .number
            }
            if kind == .text { break }
        }
        let cells = fields.map { field -> Cell in
            if field.isEmpty { return .null }
            guard kind != .text, let cell = Self.number(field) else { return .text(field) }
            guard kind == .number, let double = cell.double else { return cell }
            return .number(double)
        }
        self.init(name: name, kind: kind, cells: cells)
    }

    /// `field` as an integer or a number, if JSON would take it for one; blanks around it do not count.
    static func number(_ field: String) -> Cell? {
        var text = Substring(field)
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        var rest = text.utf8[...]
        var isInteger = true
        func digits() -> Bool {
            let count = rest.prefix { (0x30...0x39).contains($0) }.count
            rest = rest.dropFirst(count)
            return count > 0
        }
        func take(_ byte: Unicode.Scalar) -> Bool {
            guard rest.first == UInt8(ascii: byte) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("-")
        if !take("0"), !digits() { return nil }
        if take(".") {
            isInteger = false
            guard digits() else { return nil }
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            guard digits() else { return nil }
        }
        guard rest.isEmpty else { return nil }
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { return nil }
        return .number(value)
    }
}

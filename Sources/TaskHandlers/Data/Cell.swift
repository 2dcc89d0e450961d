/// One value of a table.
enum Cell: Hashable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    /// Always finite.
    case number(Double)
    case text(String)

    /// Nil for arrays and objects.
    init?(_ value: JSONValue) {
        switch value {
        case .null: self = .null
        case .boolean(let value): self = .boolean(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        case .string(let value): self = .text(value)
        case .array, .object: return nil
        }
    }

    var json: JSONValue {
        switch self {
        case .null: .null
        case .boolean(let value): .boolean(value)
        case .integer(let value): .integer(value)
        case .number(let value): .number(value)
        case .text(let value): .string(value)
        }
    }

    var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .null, .boolean, .text: nil
        }
    }

    /// For messages, cut to what a reader needs.
    var shown: String {
        let text = String(decoding: json.bytes, as: UTF8.self)
        return text.count > 40 ? text.prefix(40) + "..." : text
    }

    /// What kinds of cells compare with each other: null with nothing, integers with numbers.
    private var rank: Int {
        switch self {
        case .null: 3
        case .boolean: 0
        case .integer, .number: 1
        case .text: 2
        }
    }

    func isComparable(to other: Cell) -> Bool { self != .null && rank == other.rank }

    /// A total order: false, true, then numbers, then texts by their Unicode scalars, then null.
    static func precedes(_ a: Cell, _ b: Cell) -> Bool {
        switch (a, b) {
        case (.integer(let a), .integer(let b)): a < b
        case (.boolean(let a), .boolean(let b)): !a && b
        case (.text(let a), .text(let b)): a.unicodeScalars.lexicographicallyPrecedes(b.unicodeScalars)
        default:
            if let first = a.double, let second = b.double { first < second } else { a.rank < b.rank }
        }
    }

    /// Whether neither precedes the other: 1 equals 1.0.
    static func equals(_ a: Cell, _ b: Cell) -> Bool { !precedes(a, b) && !precedes(b, a) }
}

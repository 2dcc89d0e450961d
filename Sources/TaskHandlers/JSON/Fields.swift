import Primitives
import TaskExecution

/// The members of one JSON object of a payload, read strictly: a member that is not known is an error that names it and
/// the nearest known name, and so is a value of another kind. A member that is `null` counts as absent.
struct Fields {
    /// Where the object stands, for messages: `payload`, `payload.filter[2]`.
    let place: String
    private let members: [String: JSONValue]

    init(_ value: JSONValue, at place: String, known: [String]) throws(HandlerError) {
        guard case .object(let members) = value else {
            throw .invalidPayload("\(place) is \(value.kind), expected an object with \(known.joined(separator: ", "))")
        }
        var table: [String: JSONValue] = [:]
        for member in members {
            guard known.contains(member.name) else {
                let hint = nearestName(to: member.name, among: known).map { "did you mean \"\($0)\"?" }
                let names = "known are \(known.joined(separator: ", "))"
                throw .invalidPayload("\(place) has an unknown member \"\(member.name)\": \(hint ?? names)")
            }
            if member.value != .null { table[member.name] = member.value }
        }
        self.place = place
        self.members = table
    }

    func failure(_ name: String, _ what: String) -> HandlerError { .invalidPayload("\(place).\(name) \(what)") }

    func value(_ name: String) -> JSONValue? { members[name] }

    func string(_ name: String) throws(HandlerError) -> String? {
        switch members[name] {
        case nil: return nil
        case .string(let text): return text
        case .some(let other): throw failure(name, "is \(other.kind), expected a string")
        }
    }

    func boolean(_ name: String) throws(HandlerError) -> Bool? {
        switch members[name] {
        case nil: return nil
        case .boolean(let value): return value
        case .some(let other): throw failure(name, "is \(other.kind), expected true or false")
        }
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(HandlerError) -> Int? {
        let expected = "expected an integer from \(range.lowerBound) to \(range.upperBound)"
        switch members[name] {
        case nil: return nil
        case .integer(let value):
            guard let value = Int(exactly: value), range.contains(value) else {
                throw failure(name, "is \(value), \(expected)")
            }
            return value
        case .some(let other): throw failure(name, "is \(other.kind), \(expected)")
        }
    }

    func number(_ name: String, in range: ClosedRange<Double>) throws(HandlerError) -> Double? {
        let expected = "expected a number from \(range.lowerBound) to \(range.upperBound)"
        let value: Double
        switch members[name] {
        case nil: return nil
        case .integer(let integer): value = Double(integer)
        case .number(let number): value = number
        case .some(let other): throw failure(name, "is \(other.kind), \(expected)")
        }
        guard range.contains(value) else { throw failure(name, "is \(value), \(expected)") }
        return value
    }

    /// An empty array if the member is absent.
    func array(_ name: String, upTo limit: Int) throws(HandlerError) -> [JSONValue] {
        switch members[name] {
        case nil: return []
        case .array(let elements):
            guard elements.count <= limit else {
                throw failure(name, "has \(elements.count) elements, at most \(limit) are allowed")
            }
            return elements
        case .some(let other): throw failure(name, "is \(other.kind), expected an array")
        }
    }

    func strings(_ name: String, upTo limit: Int) throws(HandlerError) -> [String] {
        var strings: [String] = []
        for (index, element) in try array(name, upTo: limit).enumerated() {
            guard case .string(let text) = element else {
                throw failure("\(name)[\(index)]", "is \(element.kind), expected a string")
            }
            strings.append(text)
        }
        return strings
    }

    /// One of the raw values of `Choice`.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _: Choice.Type
    ) throws(HandlerError) -> Choice? where Choice.RawValue == String {
        guard let text = try string(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw failure(name, "is \"\(text)\", expected one of \(names)")
        }
        return choice
    }

    /// A required member: what is read must be there.
    func required<Value>(_ name: String, _ value: Value?) throws(HandlerError) -> Value {
        guard let value else { throw failure(name, "is missing") }
        return value
    }
}

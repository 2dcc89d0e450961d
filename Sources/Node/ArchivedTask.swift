import Foundation
import Primitives
import TaskLedger

/// What of a task's document, as the registry holds it, others need that wait for the task. What comes from the registry is
/// untrusted: anything that is no such document is nil.
struct ArchivedTask {
    let status: TaskStatus
    /// JSON, byte for byte.
    let result: [UInt8]?
    let failure: TaskFailure?

    init?(_ document: [UInt8]) {
        guard let members = Self.members(of: document), let status = members["status"].flatMap(Self.word),
            let known = TaskStatus(name: status)
        else { return nil }
        self.status = known
        result = members["result"].flatMap { $0.elementsEqual("null".utf8) ? nil : Array($0) }
        failure = members["error"].flatMap { error in
            (try? JSONDecoder().decode(Failure.self, from: Data(error)))
                .map { TaskFailure(type: $0.type, message: $0.message, isRetryable: $0.retryable) }
        }
    }

    private struct Failure: Decodable {
        var type: String
        var message: String
        var retryable: Bool
    }

    /// As those that wait for it are told.
    var outcome: ParentOutcome? { ParentOutcome(status, result: result.map { .inline($0) }, failure: failure) }

    private static func word(_ value: ArraySlice<UInt8>) -> String? {
        guard value.count > 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") else { return nil }
        return String(validating: value.dropFirst().dropLast(), as: UTF8.self)
    }

    /// The members of an object, as they are spelled. Only the extent of values is looked at, not whether they are JSON.
    static func members(of json: [UInt8]) -> [String: ArraySlice<UInt8>]? {
        guard json.first == UInt8(ascii: "{"), json.last == UInt8(ascii: "}") else { return nil }
        var members: [String: ArraySlice<UInt8>] = [:]
        var key: String?
        var (start, depth, isText) = (1, 0, false)
        var position = 1
        let end = json.count - 1
        func take(upTo position: Int) -> Bool {
            guard let name = key, start < position else { return false }
            members[name] = json[start..<position]
            key = nil
            return true
        }
        while position < end {
            let byte = json[position]
            if isText {
                if byte == UInt8(ascii: "\\") { position += 1 } else if byte == UInt8(ascii: "\"") { isText = false }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isText = true
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
                case UInt8(ascii: ":") where depth == 0 && key == nil:
                    guard let name = word(json[start..<position]) else { return nil }
                    key = name
                    start = position + 1
                case UInt8(ascii: ",") where depth == 0:
                    guard take(upTo: position) else { return nil }
                    start = position + 1
                default: break
                }
            }
            position += 1
        }
        guard depth == 0, !isText, take(upTo: end) else { return nil }
        return members
    }
}

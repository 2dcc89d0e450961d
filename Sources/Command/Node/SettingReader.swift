import Foundation
import Journal
import Node
import Primitives
import Registry
import TaskHandlers

/// Turns the texts of `SettingSources` into values, and collects what is wrong with them. A wrong value reads as the
/// standard one, so that reading goes on and every problem is told at once.
struct SettingReader {
    private let sources: SettingSources
    private(set) var problems: [String]

    init(_ sources: SettingSources) {
        self.sources = sources
        problems = sources.problems
    }

    mutating func complain(_ problem: String) { problems.append(problem) }

    func isSaid(_ setting: NodeSetting) -> Bool { sources.values[setting] != nil }

    mutating func value<Value>(
        _ setting: NodeSetting, standard: Value, _ expected: String, _ parse: (String) -> Value?
    ) -> Value {
        guard let said = sources.values[setting] else { return standard }
        if let value = parse(said.text) { return value }
        complain("\(said.origin): `\(said.text)` is not \(expected)")
        return standard
    }

    mutating func name() -> NodeName {
        guard let standard = NodeName("node-1") else { preconditionFailure("node-1 is a name") }
        return value(.name, standard: standard, "a name: 1 to 63 of a-z 0-9 . _ -, the first a letter or digit") {
            NodeName($0)
        }
    }

    mutating func number(_ setting: NodeSetting, standard: Int, in range: ClosedRange<Int>) -> Int {
        value(setting, standard: standard, "a number from \(range.lowerBound) to \(range.upperBound)") { text in
            Int(text).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// An address to listen on: `localhost` or digits, and a port.
    mutating func listening(_ setting: NodeSetting, standard: Address) -> Address {
        value(setting, standard: standard, "HOST:PORT with a numeric host (127.0.0.1:8000, [::1]:8000)") { text in
            guard let address = Address(text), address.port > 0 else { return nil }
            if address.host == "localhost" { return Address(host: "127.0.0.1", port: address.port) }
            return isNumericHost(address.host) ? address : nil
        }
    }

    mutating func numericHost(_ setting: NodeSetting, standard: String) -> String {
        value(setting, standard: standard, "a numeric address, such as 10.0.0.7") { isNumericHost($0) ? $0 : nil }
    }

    mutating func folder(_ setting: NodeSetting, standard: String) -> String {
        value(setting, standard: standard, "a path") { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 }
    }

    mutating func registry() -> RedisURL? {
        guard let said = sources.values[.registry] else { return nil }
        do throws(RedisURL.Invalid) {
            return try RedisURL(said.text)
        } catch {
            complain("\(said.origin): \(error)")
            return nil
        }
    }

    /// The name of a file, or the secrets themselves where others do not see them. They are told in no message.
    mutating func secrets() -> (file: String?, secrets: WebhookSecrets?) {
        guard let said = sources.values[.callbackSecrets], !said.text.isEmpty else { return (nil, nil) }
        let isSecret = said.text.hasPrefix(WebhookSecrets.prefix)
        if isSecret, case .flag = said.origin {
            complain(
                "\(said.origin): every user of the machine can read what a command is called with: give the name of a file, or "
                    + "\(NodeSetting.callbackSecrets.environmentName)")
            return (nil, nil)
        }
        let file = isSecret ? nil : said.text
        let text =
            isSecret
            ? said.text : FileManager.default.contents(atPath: said.text).map { String(decoding: $0, as: UTF8.self) }
        guard let text else {
            complain("\(said.origin): `\(said.text)` cannot be read: expected a file with a secret a line (whsec_...)")
            return (file, nil)
        }
        do throws(WebhookSecrets.Invalid) {
            return (file, try WebhookSecrets(text))
        } catch {
            complain("\(said.origin): \(file.map { "`\($0)`, " } ?? "")\(error)")
            return (file, nil)
        }
    }

    /// One of the words that there are.
    mutating func word<Word: RawRepresentable<String> & CaseIterable>(_ setting: NodeSetting, standard: Word) -> Word {
        let words = Word.allCases.map(\.rawValue)
        return value(setting, standard: standard, oneOf: words) { Word(rawValue: $0) }
    }

    mutating func sync() -> SyncPolicy {
        value(.sync, standard: .always, oneOf: SyncPolicy.settings + ["interval:250ms"]) { SyncPolicy(setting: $0) }
    }

    /// - Parameter words: what is known; the nearest is told to who said something else.
    private mutating func value<Value>(
        _ setting: NodeSetting, standard: Value, oneOf words: [String], _ parse: (String) -> Value?
    ) -> Value {
        let said = sources.values[setting]?.text ?? ""
        let hint = nearestName(to: said, among: words).map { "; did you mean `\($0)`?" } ?? ""
        return value(setting, standard: standard, "one of \(words.joined(separator: ", "))" + hint, parse)
    }

    /// Values between commas; an empty text is an empty list.
    mutating func list<Value>(_ setting: NodeSetting, _ expected: String, _ parse: (String) -> Value?) -> [Value] {
        value(setting, standard: [], "a list of \(expected), separated by commas") { text in
            var values: [Value] = []
            for part in text.split(separator: ",") {
                guard let value = parse(part.trimmed) else { return nil }
                values.append(value)
            }
            return values
        }
    }

    /// Settings whose names are known and whose machinery is not there yet: said, they are refused, never ignored.
    mutating func refuseUnavailable() {
        if let queues = sources.values[.queues] {
            complain("\(queues.origin): not available yet: every node serves every queue")
        }
    }
}

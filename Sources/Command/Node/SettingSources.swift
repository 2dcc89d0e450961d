import Primitives

/// What was said about a node's settings, before any of it is understood: one value and its origin for each setting.
///
/// A flag beats an environment variable, which beats the file. A name that is no setting is refused with the nearest one
/// that is: a setting that is silently not in force is worse than a node that does not start.
struct SettingSources: Sendable {
    private(set) var values: [NodeSetting: (text: String, origin: SettingOrigin)] = [:]
    private(set) var problems: [String] = []

    init(
        flags: [NodeSetting: String] = [:], environment: [String: String] = [:],
        file: (path: String, text: String)? = nil
    ) {
        if let file { read(file.text, path: file.path) }
        read(environment)
        for (setting, text) in flags { values[setting] = (text, .flag(setting.flag)) }
    }

    /// Lines of `key = value`; blank lines and those that begin with `#` are skipped. Keys may be written with `_` for `-`.
    private mutating func read(_ text: String, path: String) {
        var lines: [NodeSetting: Int] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let place = "\(path):\(index + 1)"
            let content = line.trimmed
            if content.isEmpty || content.hasPrefix("#") { continue }
            guard let equals = content.firstIndex(of: "=") else {
                problems.append("\(place): expected `key = value`, found `\(content)`")
                continue
            }
            let key = content[..<equals].trimmed
            guard let setting = NodeSetting(rawValue: key.replacing("_", with: "-")) else {
                problems.append(
                    "\(place): there is no setting `\(key)`" + hint(key, among: NodeSetting.allCases.map(\.key)))
                continue
            }
            if let first = lines[setting] {
                problems.append("\(place): `\(setting.key)` was already set in line \(first)")
                continue
            }
            lines[setting] = index + 1
            let value = content[content.index(after: equals)...].trimmed
            values[setting] = (value, .file(path: path, line: index + 1))
        }
    }

    private mutating func read(_ environment: [String: String]) {
        for name in environment.keys.sorted() where name.hasPrefix(NodeSetting.environmentPrefix) {
            if NodeSetting.otherEnvironmentNames.contains(name) { continue }
            guard let setting = NodeSetting(environmentName: name) else {
                let known = NodeSetting.allCases.map(\.environmentName)
                problems.append("there is no setting `\(name)` (environment)" + hint(name, among: known))
                continue
            }
            values[setting] = (environment[name] ?? "", .environment(name))
        }
    }

    private func hint(_ name: String, among known: [String]) -> String {
        nearestName(to: name, among: known).map { "; did you mean `\($0)`?" } ?? "; known are: "
            + known.joined(separator: ", ")
    }
}

extension StringProtocol {
    /// Without the white space around it.
    var trimmed: String {
        var rest = self[...]
        while let first = rest.first, first.isWhitespace { rest = rest.dropFirst() }
        while let last = rest.last, last.isWhitespace { rest = rest.dropLast() }
        return String(rest)
    }
}

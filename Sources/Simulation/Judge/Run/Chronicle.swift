import Glibc
import Primitives

/// What has happened last, for whoever has to understand a failure. Lines are made only when they are read, or traced.
///
/// `@unchecked`: only touched by the world's thread.
final class Chronicle: @unchecked Sendable {
    static let length = 400

    private var entries: [(at: Instant, line: () -> String)] = []
    private var next = 0
    private let isTraced: Bool
    /// For lines that come without a time.
    var clock: () -> Instant = { .zero }

    init(isTraced: Bool) { self.isTraced = isTraced }

    func note(_ at: Instant, _ line: @autoclosure @escaping () -> String) {
        if isTraced { Self.print(Self.text(at, line())) }
        if entries.count < Self.length {
            entries.append((at, line))
        } else {
            entries[next] = (at, line)
            next = (next + 1) % Self.length
        }
    }

    var lines: [String] { (entries[next...] + entries[..<next]).map { Self.text($0.at, $0.line()) } }

    /// To the standard error output.
    private static func print(_ line: String) {
        var line = line + "\n"
        line.withUTF8 { bytes in
            // A trace that nobody can read harms nobody.
            _ = write(2, bytes.baseAddress, bytes.count)
        }
    }

    private static func text(_ at: Instant, _ line: String) -> String {
        let milliseconds = at.nanoseconds / 1_000_000
        let micro = at.nanoseconds / 1000 % 1_000_000
        return "\(milliseconds / 1000).\(String(1_000_000 + micro).dropFirst()) \(line)"
    }
}

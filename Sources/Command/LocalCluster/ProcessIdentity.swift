import Foundation

/// One process, and no other that gets the same number later: its id, when it started (ticks since boot, as
/// `/proc/PID/stat` says), and in which boot of the machine. A signal goes out only while all three still fit.
struct ProcessIdentity: Codable, Hashable, Sendable {
    enum State: Sendable {
        case running
        /// By SIGSTOP.
        case stopped
        /// Ended; a zombie that nobody has waited for counts as ended.
        case gone
    }

    let pid: Int32
    let startTicks: UInt64
    let boot: String

    /// Nil if there is no such process.
    init?(pid: Int32) {
        guard let status = Self.status(of: pid), let boot = Self.currentBoot else { return nil }
        self.pid = pid
        startTicks = status.startTicks
        self.boot = boot
    }

    var state: State {
        guard boot == Self.currentBoot, let status = Self.status(of: pid), status.startTicks == startTicks else {
            return .gone
        }
        switch status.letter {
        case "Z", "X", "x": return .gone
        case "T", "t": return .stopped
        default: return .running
        }
    }

    var isAlive: Bool { state != .gone }

    /// False if the process has ended, or is not ours to signal.
    @discardableResult
    func signal(_ number: Int32) -> Bool {
        isAlive && kill(pid, number) == 0
    }

    /// Waits until it has ended. False if it has not at the deadline.
    func awaitEnd(for limit: Duration) async throws -> Bool {
        try await eventually(within: limit, every: .milliseconds(20)) {
            reap()
            return state == .gone
        }
    }

    /// Takes the exit status if it is a child of this process, so that no zombie is left; else does nothing.
    private func reap() {
        var status: Int32 = 0
        _ = waitpid(pid, &status, WNOHANG)
    }

    private static var currentBoot: String? { contents(of: "/proc/sys/kernel/random/boot_id")?.trimmed }

    private static func status(of pid: Int32) -> (letter: Character, startTicks: UInt64)? {
        // The name of the program stands in parentheses and may hold anything: what counts begins after the last one.
        guard let text = contents(of: "/proc/\(pid)/stat"), let parenthesis = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: parenthesis)...].split(separator: " ")
        guard fields.count > 19, let letter = fields[0].first, let ticks = UInt64(fields[19]) else { return nil }
        return (letter, ticks)
    }

    private static func contents(of path: String) -> String? {
        // A process that has ended has no such file: that is an answer, not a fault.
        try? String(contentsOfFile: path, encoding: .utf8)
    }
}

/// Asks again and again until `condition` holds. False if it does not at the deadline.
func eventually(
    within limit: Duration, every pause: Duration, _ condition: () async throws -> Bool
) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while true {
        if try await condition() { return true }
        if ContinuousClock.now >= deadline { return false }
        try await Task.sleep(for: pause)
    }
}

import Foundation
import Glibc
import Simulation
import Synchronization

/// The processes that simulate: each carries out one request at a time.
///
/// Nobody in it shares anything: a trap in one run ends one process, and is a finding like any other.
final class Crew: Sendable {
    /// Real time after which a run is taken for stuck.
    static let patience = 300.0

    private struct State {
        var hands: [Hand] = []
    }

    let jobs: Int
    private let all = Mutex(State())

    init(jobs: Int) { self.jobs = jobs }

    /// Carries out what `next` gives, `jobs` at a time, until it gives nothing more. Both functions are called from several
    /// threads.
    func work(
        next: @escaping @Sendable () -> SimulationRequest?,
        done: @escaping @Sendable (SimulationRequest, SimulationReport) -> Void
    ) {
        let group = DispatchGroup()
        for _ in 0..<jobs {
            group.enter()
            Thread.detachNewThread { [self] in
                let hand = hire(isHashingFixed: true)
                while let request = next() { done(request, hand.carryOut(request)) }
                hand.dismiss()
                group.leave()
            }
        }
        group.wait()
    }

    /// On the caller's thread, in a process of its own.
    func carryOut(_ request: SimulationRequest, isHashingFixed: Bool = true) -> SimulationReport {
        let hand = hire(isHashingFixed: isHashingFixed)
        defer { hand.dismiss() }
        return hand.carryOut(request)
    }

    func hire(isHashingFixed: Bool) -> Hand {
        let hand = Hand(isHashingFixed: isHashingFixed)
        all.withLock { $0.hands.append(hand) }
        return hand
    }

    func dismiss() {
        for hand in all.withLock({ $0.hands }) { hand.dismiss() }
    }
}

/// One of them: started when it is needed, and again when it has died.
final class Hand: Sendable {
    private struct State {
        var process: Process?
        var input: FileHandle?
        var output: FileHandle?
        var buffer = Data()
        var runs = 0
    }

    /// Whether sets and dictionaries have the same order in every process. Where they do not, code that depends on their order
    /// shows.
    private let isHashingFixed: Bool
    private let state = Mutex(State())
    /// Runs after which a process is replaced: what a world leaks does not add up.
    private static let runsOfAProcess = 400

    init(isHashingFixed: Bool) { self.isHashingFixed = isHashingFixed }

    func carryOut(_ request: SimulationRequest) -> SimulationReport {
        state.withLock { state in
            do {
                if state.process == nil || state.runs >= Self.runsOfAProcess {
                    Self.end(&state)
                    try begin(&state)
                }
                state.runs += 1
                var line = try JSONEncoder().encode(request)
                line.append(UInt8(ascii: "\n"))
                try state.input?.write(contentsOf: line)
                if let answer = try Self.readLine(&state) {
                    return try JSONDecoder().decode(SimulationReport.self, from: answer)
                }
                return lost(&state, request, .trapped)
            } catch is Timeout {
                return lost(&state, request, .hung)
            } catch {
                return lost(&state, request, .trapped, "\(error)")
            }
        }
    }

    func dismiss() { state.withLock { Self.end(&$0) } }

    // MARK: The process

    private struct Timeout: Error {}

    private func begin(_ state: inout State) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["--worker"]
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_DETERMINISTIC_HASHING"] = isHashingFixed ? "1" : nil
        process.environment = environment
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        state.process = process
        state.input = input.fileHandleForWriting
        state.output = output.fileHandleForReading
        state.buffer = Data()
        state.runs = 0
    }

    private static func end(_ state: inout State) {
        // It reads to the end of its input, and then ends.
        try? state.input?.close()
        if let process = state.process {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }
        state = State()
    }

    private func lost(
        _ state: inout State, _ request: SimulationRequest, _ property: Property, _ why: String = ""
    ) -> SimulationReport {
        var detail = why
        if let process = state.process {
            if property == .hung { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
            detail +=
                process.terminationReason == .uncaughtSignal
                ? "signal \(process.terminationStatus)" : "exit status \(process.terminationStatus)"
        }
        Self.end(&state)
        var report = SimulationReport(seed: request.seed)
        report.failure = SimulationReport.Failure(
            property: property.rawValue, meaning: property.meaning, detail: detail, seconds: 0)
        if let settings = try? PlanSettings(request.settings) {
            report.plan =
                SimulationPlan(seed: request.seed, forced: settings.forced, filter: settings.filter).description
        }
        return report
    }

    /// Nil at the end of the output.
    private static func readLine(_ state: inout State) throws -> Data? {
        guard let output = state.output else { return nil }
        let deadline = Date().addingTimeInterval(Crew.patience)
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            if let end = state.buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = state.buffer[..<end]
                state.buffer = Data(state.buffer[(end + 1)...])
                return Data(line)
            }
            var poller = pollfd(fd: output.fileDescriptor, events: Int16(POLLIN), revents: 0)
            let rest = deadline.timeIntervalSinceNow
            guard rest > 0 else { throw Timeout() }
            let ready = poll(&poller, 1, Int32(min(rest * 1000 + 1, 1_000_000)))
            if ready == 0 { throw Timeout() }
            if ready < 0, errno == EINTR { continue }
            let count = read(output.fileDescriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            state.buffer.append(contentsOf: chunk[..<count])
        }
    }
}

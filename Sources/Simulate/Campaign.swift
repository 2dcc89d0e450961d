import Foundation
import Simulation
import Synchronization

/// Runs many seeds, and tells what came of them.
struct Campaign {
    /// One in so many seeds runs a second time, in a process whose sets have another order, and has to give the same trace.
    static let repeatInterval: UInt64 = 50
    static let shrinkingRuns = 400

    let crew: Crew
    let settings: [String]
    let isShrinking: Bool
    let maxFailures: Int
    let isTraced: Bool

    private struct State {
        var next = 0
        var summary = Summary()
        var failures: [(SimulationRequest, SimulationReport)] = []
    }

    /// - Returns: whether all is fine.
    mutating func run(_ seeds: [UInt64]) -> Bool {
        let state = Mutex(State())
        let progress = Progress(total: seeds.count)
        let settings = settings
        let isTraced = isTraced
        let maxFailures = maxFailures
        let crew = crew
        let began = Date()
        crew.work(
            next: {
                state.withLock { state in
                    guard state.next < seeds.count, state.failures.count < maxFailures else { return nil }
                    defer { state.next += 1 }
                    var request = SimulationRequest(seed: seeds[state.next], settings: settings)
                    request.isTraced = isTraced
                    return request
                }
            },
            done: { request, report in
                var report = report
                let isRepeated = request.seed % Self.repeatInterval == 0 && report.failure == nil
                if isRepeated { Self.repeats(request, &report, crew) }
                state.withLock { state in
                    state.summary.add(report, isRepeated: isRepeated)
                    if let failure = report.failure {
                        state.failures.append((request, report))
                        progress.tell("seed \(request.seed) fails: \(failure.property)")
                    }
                    progress.show(state.summary.runs, failures: state.failures.count)
                }
            })
        progress.clear()
        let (summary, failures) = state.withLock { ($0.summary, $0.failures) }
        for (request, report) in failures { tell(request, report) }
        print(summary.text(realSeconds: Date().timeIntervalSince(began)))
        return failures.isEmpty
    }

    private static func repeats(_ request: SimulationRequest, _ report: inout SimulationReport, _ crew: Crew) {
        let again = crew.carryOut(request, isHashingFixed: false)
        guard again.traceHash != report.traceHash || again.failure != nil else { return }
        let property = Property.notReproducible
        report.failure = SimulationReport.Failure(
            property: property.rawValue, meaning: property.meaning,
            detail:
                "\(report.events) events with hash \(String(report.traceHash, radix: 16)), then \(again.events) with "
                + "\(String(again.traceHash, radix: 16))", seconds: 0)
    }

    // MARK: Failures

    private func tell(_ request: SimulationRequest, _ report: SimulationReport) {
        var request = request
        var report = report
        let original = request
        var note = ""
        let canShrink = isShrinking && !isTraced && report.failure?.property != Property.notReproducible.rawValue
        if canShrink {
            print("seed \(request.seed) fails (\(report.failure?.property ?? "")): making it smaller ...")
            do {
                let crew = crew
                let hand = crew.hire(isHashingFixed: true)
                defer { hand.dismiss() }
                var shrinking = try Shrinking(request, report, attempts: Self.shrinkingRuns) { hand.carryOut($0) }
                (request.settings, report) = try shrinking.smallest()
            } catch {
                note = "it could not be made smaller: \(error)"
            }
        }
        print(Texts.failure(report, request, original: original))
        if !note.isEmpty { print(note) }
    }
}

/// A line that is written over, if somebody looks.
final class Progress: Sendable {
    private let total: Int
    private let isShown = isatty(STDOUT_FILENO) == 1
    private let began = Date()
    private let last = Mutex(Date.distantPast)

    init(total: Int) { self.total = total }

    func show(_ done: Int, failures: Int) {
        guard isShown else { return }
        last.withLock { last in
            let now = Date()
            guard now.timeIntervalSince(last) > 0.2 else { return }
            last = now
            let rate = Double(done) / max(0.001, now.timeIntervalSince(began))
            let rest = Int(Double(total - done) / max(rate, 0.001))
            let line = "\(done) of \(total) seeds, \(Texts.number(rate)) a second, \(rest) s to go, \(failures) failing"
            FileHandle.standardOutput.write(Data("\r\(line)\u{1B}[K".utf8))
        }
    }

    /// For who reads a log of a long campaign: the whole comes at its end.
    func tell(_ line: String) { if !isShown { Texts.say(line) } }

    func clear() { if isShown { FileHandle.standardOutput.write(Data("\r\u{1B}[K".utf8)) } }
}

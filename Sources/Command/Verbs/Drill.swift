import APIModel
import ArgumentParser
import Foundation
import Primitives

struct Drill: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Loads the local cluster, kills and pauses its nodes at random, and reports what became of the tasks.",
        discussion: """
            Only processes that `up` has started here are touched; at the end all of them run again. The tasks are `sleep`s, \
            and stay in the cluster like any others. Ctrl-C ends the drill early, with its report.
            Exit code: 1 if an accepted task is lost or has two outcomes, or a node has ended by itself; else 0.
            """)

    @Option(name: .customLong("for"), help: "How long: 60s, 2m.")
    var duration = "60s"

    @Option(help: "From one kill or pause to the next: 5s.")
    var killEvery = "5s"

    @Option(help: "Draws the faults as another drill has drawn them. (default: any)")
    var seed: UInt64?

    private static let readyLimit = Duration.seconds(60)
    /// How long nothing may end before what is left counts as lost.
    private static let patience = Duration.seconds(60)

    func run() async throws {
        let length = try time(duration, "--for", in: .seconds(1)...(.seconds(86_400)))
        let interval = try time(killEvery, "--kill-every", in: .seconds(1)...(.seconds(3600)))
        let home = ClusterHome()
        let state = try home.require()
        for node in state.nodes where node.condition != .running {
            throw CommandFailure(
                "\(node.name) is not running (\(node.condition.text(at: .now))): `./cluster up` starts it")
        }
        let client = ClusterClient(nodes: state.nodes.map(\.url))
        guard let cluster = try await Status.document(client) else {
            throw CommandFailure("no node answers", code: 2)
        }
        let slots = cluster.members.filter { $0.state == "alive" }.reduce(0) { $0 + $1.slots }
        let seed = seed ?? .random(in: 0...UInt64(UInt32.max))
        say(
            "drill of \(cluster.name): \(state.nodes.count) nodes with \(slots) slots, \(shown(length, digits: 0)), a fault "
                + "every \(shown(interval)), --seed \(seed)")
        let progress = Progress()
        let drill = DrillRun(
            DrillRun.Settings(seed: seed, interval: interval), home: home, nodes: state.nodes, slots: slots
        ) { line in
            await progress.end()
            say(line)
        }
        try await work(drill, length, progress)
        try await drill.mend()
        try await LocalNodes(home: home).awaitReady(try home.require().nodes, within: Self.readyLimit) { _ in }
        let report = try await drill.finish(patience: Self.patience)
        await progress.end()
        say("")
        say(report.lines(terminal: .output).joined(separator: "\n"))
        if report.exitCode != 0 { throw ExitCode(report.exitCode) }
    }

    /// Until the time is over, or Ctrl-C. Whatever fails, the nodes are mended.
    private func work(_ drill: DrillRun, _ length: Duration, _ progress: Progress) async throws {
        let signals = terminationSignals()
        let listener = Task {
            for await number in signals {
                if await !drill.isStopping { await drill.stop() } else { _exit(128 + number) }
            }
        }
        let ticker = Task {
            let begin = ContinuousClock.now
            while !Task.isCancelled, Terminal.output.isInteractive {
                let (accepted, ended) = await drill.progress
                let seconds = shown(ContinuousClock.now - begin, digits: 0)
                await progress.show("\(seconds.leftPadded(8))  \(accepted) accepted, \(ended) ended")
                // Cancelled: the loop ends.
                try? await Task.sleep(for: .milliseconds(500))
            }
        }
        defer {
            listener.cancel()
            ticker.cancel()
        }
        do {
            try await drill.run(for: length)
        } catch {
            try await drill.mend()
            throw error
        }
    }

    private func time(_ text: String, _ option: String, in range: ClosedRange<Duration>) throws -> Duration {
        guard let duration = Duration(argument: text), range.contains(duration) else {
            throw CommandFailure(
                "\(option) \(text): expected \(range.lowerBound.components.seconds)s to "
                    + "\(range.upperBound.components.seconds)s, such as 500ms, 5s or 2m")
        }
        return duration
    }
}

extension Duration {
    /// `250ms`, `5s`, `2m`, `1h`; a number alone is seconds.
    init?(argument: String) {
        let units: [(suffix: String, unit: Duration)] = [
            ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)), ("", .seconds(1)),
        ]
        for (suffix, unit) in units where argument.hasSuffix(suffix) {
            guard let number = UInt32(argument.dropLast(suffix.count)) else { continue }
            self = unit * Int(number)
            return
        }
        return nil
    }
}

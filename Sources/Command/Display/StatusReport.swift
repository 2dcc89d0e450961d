import APIModel
import Foundation
import Primitives

/// What `status` prints: what the cluster says of itself, and what this machine knows of the processes that it started.
struct StatusReport {
    /// Nil: no node answered.
    var cluster: ClusterDocument?
    /// Nil: the cluster is not ours.
    var local: ClusterState?
    var now: Date = .now

    /// 0 healthy, 1 degraded, 2 unreachable.
    var exitCode: Int32 {
        guard let cluster else { return 2 }
        return cluster.isHealthy && absent.isEmpty ? 0 : 1
    }

    /// Of a line, unless the terminal is narrower.
    private static let width = 100
    private static let narrowest = 60

    /// Started here, and not running.
    private var absent: [ClusterState.Node] { local?.nodes.filter { $0.condition != .running } ?? [] }

    func lines(isWide: Bool, terminal: Terminal) -> [String] {
        let width = isWide ? nil : min(Self.width, max(terminal.columns ?? Self.width, Self.narrowest))
        var lines: [String] = []
        if let cluster {
            lines += head(cluster, terminal: terminal, width: width)
            lines.append("")
            lines += members(cluster, isWide: isWide).lines(width: width, terminal: terminal)
        } else {
            lines.append(terminal.paint("no node answers", .red))
        }
        if let local, !local.nodes.isEmpty, local.nodes.allSatisfy({ $0.process == nil }) {
            lines.append("all \(local.nodes.count) nodes here are stopped: `./cluster up` starts them again")
        } else if !absent.isEmpty {
            lines.append("")
            for node in absent {
                let condition = terminal.paint(node.condition.text(at: now), .red)
                lines.append("\(node.name) (here): \(condition); `./cluster \(remedy(node))` \(effect(node))")
            }
        }
        return lines
    }

    private func remedy(_ node: ClusterState.Node) -> String {
        if case .paused = node.condition { return "resume \(node.index)" }
        return "restart \(node.index)"
    }

    private func effect(_ node: ClusterState.Node) -> String {
        if case .paused = node.condition { return "lets it go on" }
        return "starts it again"
    }

    private func head(_ cluster: ClusterDocument, terminal: Terminal, width: Int?) -> [String] {
        let alive = cluster.members.count { $0.state == "alive" }
        let total = cluster.members.count { $0.state != "left" }
        let health = terminal.paint(cluster.status, cluster.isHealthy ? .green : .yellow)
        let views = cluster.view.agree ? "all agree" : terminal.paint("members differ", .yellow)
        let id = cluster.id.map { $0.prefix(8) } ?? "not founded"
        // What a dead member last said of its load is in its heir's by now.
        let present = cluster.members.filter { !["left", "dead", "absent"].contains($0.state) }
        let open = present.reduce(0) { $0 + Int($1.load.open) }
        let ready = present.reduce(0) { $0 + Int($1.load.ready) }
        let completed = cluster.members.reduce(0 as UInt64) { $0 &+ ($1.completed ?? 0) }
        let failed = cluster.members.reduce(0 as UInt64) { $0 &+ ($1.failed ?? 0) }
        let lost = cluster.lost.map(String.init) ?? "unknown"
        let waiting = "\(compact(open)) open (\(compact(ready)) ready)"
        let ended = "\(compact(completed)) completed, \(compact(failed)) failed"
        var lines = [
            "cluster \(terminal.paint(cluster.name, .bold)) (\(id)): \(health), \(alive) of \(total) nodes alive, "
                + "view \(cluster.view.number) (\(views))"
        ]
        lines += oneLineIfItFits(width, terminal) { terminal in
            let outcome = "recovered \(cluster.recovered), lost \(lost)"
            return ["tasks: \(waiting), \(ended)", terminal.paint(outcome, cluster.lost == 0 ? nil : .red)]
        }
        lines += oneLineIfItFits(width, terminal) { terminal in
            [
                "copies of each task: \(copies(cluster, terminal)), \(sync(cluster))",
                "results: \(registry(cluster, terminal))",
            ]
        }
        if let letters = letters(cluster) { lines += wrapped(letters, width: width) }
        if cluster.outcomes.cut > 0 {
            let text = "\(cluster.outcomes.cut) results were given up before their time: there were too many to be kept"
            lines += wrapped(text, width: width)
        }
        for loss in losses(cluster) { lines += wrapped(loss, width: width).map { terminal.paint($0, .red) } }
        for warning in cluster.warnings {
            lines += wrapped("warning: " + warning, width: width).map { terminal.paint($0, .yellow) }
        }
        return lines
    }

    /// - Parameter parts: as that terminal shows them; colours do not count for the width.
    private func oneLineIfItFits(
        _ width: Int?, _ terminal: Terminal, _ parts: (Terminal) -> [String]
    ) -> [String] {
        let plain = parts(Terminal(isColoured: false, isInteractive: false)).joined(separator: "; ")
        return plain.count <= width ?? .max ? [parts(terminal).joined(separator: "; ")] : parts(terminal)
    }

    /// What the nodes that answer say of `--sync`: one word if they agree.
    private func sync(_ cluster: ClusterDocument) -> String {
        let told = cluster.members.compactMap(\.disk?.sync)
        let counts = Dictionary(grouping: told) { $0 }.mapValues(\.count).sorted {
            ($1.value, $0.key) < ($0.value, $1.key)
        }
        if counts.count > 1 { return "sync " + counts.map { "\($0.key) at \($0.value)" }.joined(separator: ", ") }
        return "on disk (sync \(counts.first?.key ?? "unknown"))"
    }

    /// Nil: there are none.
    private func letters(_ cluster: ClusterDocument) -> String? {
        let letters = cluster.deadLetters
        guard letters.count > 0 || letters.dropped > 0 else { return nil }
        var text = "dead letters: \(letters.count), \(bytesText(letters.bytes))"
        if let oldest = letters.oldest {
            text += ", the oldest \(age(max(0, now.timeIntervalSince1970 - Double(oldest.milliseconds) / 1000))) old"
        }
        if letters.dropped > 0 { text += ", \(letters.dropped) dropped" }
        return text + ": `apus dlq list`"
    }

    /// One line for each node whose tasks are gone.
    private func losses(_ cluster: ClusterDocument) -> [String] {
        Dictionary(grouping: cluster.losses, by: \.primary).sorted { $0.key < $1.key }.map { owner, losses in
            let counts = losses.compactMap(\.tasks)
            let count = counts.count == losses.count ? "\(counts.reduce(0, &+)) " : ""
            let places = losses.map { "L\($0.ledger) in view \($0.view)" }.joined(separator: ", ")
            return "lost: \(count)tasks of \(owner): no disk with a copy was left (given up: \(places))"
        }
    }

    private func copies(_ cluster: ClusterDocument, _ terminal: Terminal) -> String {
        let short = cluster.ledgers.filter { !$0.isFullyReplicated }.count
        let unavailable = cluster.ledgers.filter { !$0.isAvailable }.count
        func ledgers(_ count: Int) -> String { count == 1 ? "1 ledger" : "\(count) ledgers" }
        if unavailable > 0 { return terminal.paint("\(ledgers(unavailable)) unavailable", .red) }
        if short > 0 { return terminal.paint("fewer than \(cluster.view.copies) in \(ledgers(short))", .yellow) }
        return String(cluster.view.copies)
    }

    private func registry(_ cluster: ClusterDocument, _ terminal: Terminal) -> String {
        let told = cluster.members.compactMap(\.registry.isConnected)
        let unwritten = cluster.members.reduce(0 as UInt64) { $0 &+ ($1.registry.unwrittenResults ?? 0) }
        let waiting = unwritten == 0 ? "" : ", \(unwritten) to write"
        if told.isEmpty { return "kept by the nodes" }
        let connected = told.count { $0 }
        if connected == told.count { return "in Redis" + waiting }
        return terminal.paint("\(told.count - connected) of \(told.count) nodes without Redis\(waiting)", .yellow)
    }

    private func members(_ cluster: ClusterDocument, isWide: Bool) -> Table {
        var table = Table(columns: [
            .init(title: "node"), .init(title: "state"), .init(title: "role", rank: 4), .init(title: "http", rank: 1),
            .init(title: "busy", isRightAligned: true), .init(title: "ready", isRightAligned: true),
            .init(title: "open", isRightAligned: true), .init(title: "completed", isRightAligned: true),
            .init(title: "stolen", isRightAligned: true, rank: 3), .init(title: "view", isRightAligned: true, rank: 2),
            .init(title: "journal", isRightAligned: true, rank: 5),
        ])
        if isWide {
            table.columns += [
                .init(title: "failed", isRightAligned: true), .init(title: "duplicates", isRightAligned: true),
                .init(title: "sync"), .init(title: "last sync", isRightAligned: true),
                .init(title: "worst sync", isRightAligned: true), .init(title: "may start"), .init(title: "majority"),
                .init(title: "gossip"), .init(title: "generation", isRightAligned: true),
                .init(title: "age of data", isRightAligned: true),
            ]
        }
        table.rows = cluster.members.map { row($0, isWide: isWide) }
        return table
    }

    private func condition(_ member: MemberDocument, since: Double) -> (String, Terminal.Colour) {
        switch member.state {
        case "alive" where member.load.isDraining: ("draining", .yellow)
        // A warning says for what.
        case "alive" where member.unready != nil: ("waiting", .yellow)
        case "joining" where member.isVoter: ("waiting", .yellow)
        case "alive": ("alive", .green)
        case "absent": ("absent", .red)
        case "dead": ("dead \(age(since))", .red)
        case "left": ("left \(age(since))", .grey)
        default: ("\(member.state) \(age(since))", .yellow)
        }
    }

    private func row(_ member: MemberDocument, isWide: Bool) -> [Table.Cell] {
        let isAlive = member.state == "alive"
        let since = now.timeIntervalSince1970 - Double(member.since.milliseconds) / 1000
        let (state, colour) = condition(member, since: since)
        let loopback = "127.0.0.1:"
        let http =
            !isWide && member.http.hasPrefix(loopback) ? String(member.http.dropFirst(loopback.count - 1)) : member.http
        var cells: [Table.Cell] = [
            Table.Cell(isWide ? member.name : clipped(member.name, 20)), Table.Cell(state, colour),
            Table.Cell(member.isVoter ? "voter" : ""), Table.Cell(http),
            Table.Cell("\(member.busy.map(String.init) ?? "?")/\(member.slots)"),
            isAlive ? Table.Cell(member.load.ready) : "-", isAlive ? Table.Cell(member.load.open) : "-",
            Table.Cell(member.completed), Table.Cell(member.stolen),
            Table.Cell(member.view.number.map(String.init) ?? "-"),
            member.disk?.isFull == true
                ? Table.Cell("full", .red) : Table.Cell(member.disk.map { bytesText($0.journalBytes) } ?? "-"),
        ]
        if isWide {
            cells += [
                Table.Cell(member.failed), Table.Cell(member.duplicatesDiscarded),
                Table.Cell(member.disk?.sync ?? "-"),
                Table.Cell(member.disk?.lastSyncAgeSeconds.map { age($0) + " ago" } ?? "-"),
                Table.Cell(member.disk.map { String(format: "%.1f ms", 1000 * $0.worstSyncSeconds) } ?? "-"),
                Table.Cell(yesOrNo(member.mayStart)), Table.Cell(yesOrNo(member.reachesMajority)),
                Table.Cell(member.gossip),
                Table.Cell(String(member.generation)), Table.Cell(age(member.dataAgeSeconds)),
            ]
        }
        return cells
    }
}

private func yesOrNo(_ value: Bool?) -> String { value.map { $0 ? "yes" : "no" } ?? "-" }

/// The text in lines of at most `width` characters, broken between words.
func wrapped(_ text: String, width: Int?) -> [String] {
    guard let width else { return [text] }
    var lines = [""]
    for word in text.split(separator: " ") {
        let line = lines[lines.count - 1]
        if line.isEmpty {
            lines[lines.count - 1] = String(word)
        } else if line.count + 1 + word.count <= width {
            lines[lines.count - 1] = line + " " + word
        } else {
            lines.append("  " + word)
        }
    }
    return lines
}

import Node
import Primitives

/// Disks that are lost, damaged, slow or full, and what is done against that.
extension FaultInjector {
    func cutPower(_ victim: Int, _ fault: Fault) {
        let node = world.nodes[victim]
        let isSynced = plan.options["sync"] == 0
        guard isSynced || plan.isBeyond || stage.lastCopies(at: victim).isEmpty else {
            spared[fault.kind, default: 0] += 1
            return node.crash(.kill)
        }
        if fault.kind == .tornTail { node.disk.flipBit(in: .unsynced) }
        node.crash(.powerLoss)
        if !isSynced { stage.lostTail(of: victim) }
    }

    private func mayDestroy(_ node: Int) -> Bool {
        stage.isClusterRegistered && stage.seedsRemember(without: node)
            && (plan.isBeyond || stage.canVoteWithout(node) && stage.lastCopies(at: node).isEmpty)
    }

    func loseDisk(_ victim: Int, for length: Duration, _ fault: Fault) {
        guard mayDestroy(victim) else {
            spared[fault.kind, default: 0] += 1
            return takeDown(victim, for: length, fault) { world.nodes[victim].crash(.kill) }
        }
        takeDown(victim, for: length, fault) {
            let node = world.nodes[victim]
            node.loseDisk()
            stage.lostStore(of: victim, votes: true)
        }
    }

    func flipBit(_ victim: Int, for length: Duration, _ fault: Fault) {
        guard mayDestroy(victim) else {
            spared[fault.kind, default: 0] += 1
            return takeDown(victim, for: length, fault) { world.nodes[victim].crash(.kill) }
        }
        takeDown(victim, for: length, fault) {
            let node = world.nodes[victim]
            node.crash(.powerLoss)
            let journal = node.disk.files.filter { $0.name.hasPrefix("journal-") && $0.bytes > 0 }.map(\.name)
            guard !journal.isEmpty else { return }
            let file = journal[Int.random(in: 0..<journal.count, using: &random)]
            guard let flip = node.disk.flipBit(in: .durable, of: file) else { return }
            chronicle.note(world.now, "bit \(flip.bit) of byte \(flip.offset) of \(flip.file) at node \(victim) flips")
            stage.machines[victim].isFlipped = true
            stage.lostTail(of: victim)
        }
    }

    /// Only of a copy beside which there is another one.
    func rot(_ victim: Int) {
        let disk = world.nodes[victim].disk
        let others = world.nodes.filter { $0.index != victim }
        let results = disk.files.map(\.name).filter { name in
            ResultFile.parse(name) != nil && others.contains { $0.disk.contents(name) == disk.contents(name) }
        }
        guard !results.isEmpty else {
            spared[.rot, default: 0] += 1
            return
        }
        let name = results[Int.random(in: 0..<results.count, using: &random)]
        guard let flip = disk.flipBit(in: .durable, of: name) else { return }
        chronicle.note(world.now, "bit \(flip.bit) of byte \(flip.offset) of \(name) at node \(victim) flips")
    }

    func troubleDisk(_ victim: Int, for length: Duration, _ fault: Fault) {
        grow()
        let disk = world.nodes[victim].disk
        stage.machines[victim].diskTroubles += 1
        switch fault.kind {
        case .slowDisk: disk.settings.jitter = .milliseconds(Int64(fault.amount))
        case .fullDisk: disk.settings.capacity = disk.usedBytes
        default: disk.failOperation(after: fault.amount)
        }
        after(length) { [self] in
            stage.machines[victim].diskTroubles -= 1
            stage.machines[victim].lastDiskTrouble = world.now
            switch fault.kind {
            case .slowDisk: disk.settings.jitter = diskSettings.jitter
            case .fullDisk: disk.settings.capacity = diskSettings.capacity
            // It may strike after that: what it hits has a reason to end all the same.
            default: stage.machines[victim].diskTroubles += 1
            }
        }
    }

    /// As `apus journal repair`: the journal is set aside.
    func repair(_ node: SimulatedNode) {
        chronicle.note(world.now, "the journal of node \(node.index) is set aside")
        do {
            for file in node.disk.files where file.name.hasPrefix("journal-") {
                try node.disk.apply(.remove(file.name))
            }
            try node.disk.apply(.syncFolder)
        } catch {
            // The disk fails: the next round tries again.
            return chronicle.note(world.now, "node \(node.index): \(error)")
        }
        stage.machines[node.index].isFlipped = false
        stage.lostStore(of: node.index, votes: false)
    }
}

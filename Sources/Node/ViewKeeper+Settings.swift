import Peers
import Primitives
import Service
import Views
import Wire

/// A change of the settings that this node was asked for, until a view tells what became of it.
struct PendingChange {
    var operation: SettingsOperation
    /// It is asked for in the name of this view.
    var view: UInt64
    var until: Instant
    var completion: @Sendable (SettingsOutcome) -> Void
}

/// Somebody who waits until this node has installed a view.
struct AwaitedView {
    var number: UInt64
    var until: Instant
    var completion: @Sendable () -> Void
}

/// Changing the settings of the cluster: whoever is asked tells the voters, as primaries tell them of their ledgers, until it
/// has installed a view that tells of the change. That the others have, too, `NodeService.change` waits for.
extension ViewKeeper {
    /// `completion` is called once, on the loop.
    func change(_ operation: SettingsOperation, _ completion: @escaping @Sendable (SettingsOutcome) -> Void) {
        guard let view, isConfirmed, !isStopped else {
            return completion(.unavailable("\(node.name) is not part of a cluster that can decide now"))
        }
        do throws(SettingsRefusal) {
            // One that changes nothing needs a view as well: an earlier one, whose outcome nobody knows, is void by it.
            _ = try view.settings.applying(operation, in: view.number &+ 1)
        } catch {
            return completion(.refused(error))
        }
        guard changes.count < Limits.pendingChanges else {
            return completion(.unavailable("\(changes.count) changes wait for the next view already"))
        }
        let id = random.next()
        let until = node.now + Limits.changePatience
        changes[id] = PendingChange(operation: operation, view: view.number, until: until, completion: completion)
        ask(for: id)
    }

    /// Repeated, since a message may be lost, and a voter that has not installed this node's view yet forgets it then.
    private func ask(for id: UInt64) {
        guard let change = changes[id], let view else { return }
        guard node.now < change.until else {
            changes[id] = nil
            return change.completion(
                .unconfirmed(
                    canDecide
                        ? "no view with this change was decided in time" : "no majority of the voters can be reached"))
        }
        tellVoters(SettingsChange(id: id, view: change.view, operation: change.operation), view)
        _ = node.scheduler.schedule(after: Limits.changeInterval) { [self] in onLoop { $0.ask(for: id) } }
    }

    private func tellVoters(_ change: SettingsChange, _ view: View) {
        let frame = Frame(.evidence, at: node.now) { $0.evidence(.change(change)) }
        for voter in view.voters where voter.name != node.name {
            if let id = node.peers[voter.name] { node.transport.send(frame, to: id) }
        }
        if agreement.isVoter { take(.change(change)) }
    }

    /// A change that the new view does not tell of is asked for again in its name.
    func settleChanges(with view: View) {
        for id in changes.keys.sorted() {
            guard var change = changes[id] else { continue }
            if let applied = view.settings.applied.first(where: { $0.id == id }) {
                changes[id] = nil
                change.completion(applied.refusal.map { .refused($0) } ?? .done(view.settings))
            } else if view.number > change.view &+ 1, view.settings.applied.count == Limits.appliedChanges {
                // It may have been made by a view that this node has missed, and be told of no more.
                changes[id] = nil
                change.completion(.unconfirmed("\(node.name) has missed the views that tell of it"))
            } else {
                change.view = view.number
                changes[id] = change
                tellVoters(SettingsChange(id: id, view: view.number, operation: change.operation), view)
            }
        }
    }

    // MARK: When it holds everywhere

    /// At once if a view of that number is installed. What is not installed soon is not answered: who waits for it asks again.
    func whenInstalled(_ number: UInt64, _ completion: @escaping @Sendable () -> Void) {
        if let view, view.number >= number { return completion() }
        guard awaited.count < Limits.awaitedViews else { return }
        awaited.append(AwaitedView(number: number, until: node.now + Limits.changeInterval, completion: completion))
    }

    func tellInstalled(_ view: View) {
        let due = awaited.filter { $0.number <= view.number }
        awaited.removeAll { $0.number <= view.number || $0.until < node.now }
        for one in due { one.completion() }
    }

    /// Who was a member until lately may still act by an earlier view, for as long as its leave lasts.
    func departed(in view: View, after previous: View?) {
        let now = node.now
        if previous.map({ view.number > $0.number + 1 }) ?? true { unseenAt = now }
        former = former.filter { now - $0.value < Limits.fenceRest && view.member($0.key) == nil }
        for member in previous?.members ?? [] where view.member(member.id.name) == nil {
            former[member.id.name] = now
        }
    }

    /// - Returns: whether all are `informed` who may go by a view before this one, and whether a majority of the voters is.
    func reach(of view: View, _ informed: Set<NodeName>) -> (isEverybodyInformed: Bool, isMajorityInformed: Bool) {
        let all = Set(view.members.map(\.id.name)).union(former.keys)
        let voters = view.voters.count { informed.contains($0.name) }
        let isAnybodyUnknown = node.now - unseenAt < Limits.fenceRest
        return (all.isSubset(of: informed) && !isAnybodyUnknown, voters >= view.majority)
    }

    func endChanges() {
        for id in changes.keys.sorted() {
            changes.removeValue(forKey: id)?.completion(.unconfirmed("\(node.name) is stopping"))
        }
    }
}

extension Limits {
    /// Changes of settings that one node waits for.
    static let pendingChanges = 64
    /// How long a client waits for one.
    static let changePatience = Duration.seconds(8)
    /// How often the voters are told of it.
    static let changeInterval = Duration.milliseconds(250)
    /// Requests that wait for a view.
    static let awaitedViews = 256
}

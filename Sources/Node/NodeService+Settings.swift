import Peers
import Primitives
import Service
import Views
import Wire

/// Settings that hold for the whole cluster.
///
/// A change is answered when nobody goes by the settings before it any more: every node that was a member has installed a view
/// with it, or its leave to start and accept anything (rule R3) has run out since. A voter that has installed the view
/// gives no leave to those who have not, so that is so when a majority of the voters has had it for as long as a leave
/// lasts. Who asks any node for the settings that hold now (`currentSettings`) is told those, or nothing.
extension NodeService {
    var settings: ClusterSettings? { node.settings }

    func currentSettings() async -> ClusterSettings? {
        #if PLANTED_BUGS
        if PlantedBug.isActive(.settingsUnvouched) { return node.settings }
        #endif
        return await actors.queue.currentSettings
    }

    func change(_ operation: SettingsOperation) async -> SettingsOutcome {
        let views = actors.views
        let outcome = await withCheckedContinuation { continuation in
            node.scheduler.execute { views.onLoop { $0.change(operation) { continuation.resume(returning: $0) } } }
        }
        #if PLANTED_BUGS
        if PlantedBug.isActive(.changeHoldsHere) { return outcome }
        #endif
        guard case .done = outcome, let view = await views.view else { return outcome }
        return await isInForce(view)
            ? outcome
            : .unconfirmed(
                "it was made, but it is not known yet whether all nodes go by it: a majority of the voters has not answered"
            )
    }

    /// Waits until nobody goes by an earlier view.
    private func isInForce(_ view: View) async -> Bool {
        let began = node.now
        var informed: Set<NodeName> = [node.name]
        var known: Instant?
        while true {
            let (isEverybody, isMajority) = await actors.views.reach(of: view, informed)
            if isEverybody { return true }
            let now = node.now
            if isMajority, known == nil { known = now }
            if let known, now - known >= Limits.fenceRest { return true }
            guard now - began < Limits.changePatience else { return false }
            let answers = await askAll(
                Frame(.installed, at: now) { $0.uint64(view.number) }, within: Limits.changeInterval
            ) { _ throws(WireError) in true }.answers
            guard informed.isSuperset(of: answers.keys) else {
                informed.formUnion(answers.keys)
                continue
            }
            await sleep(Limits.changeInterval)
        }
    }
}

import Primitives
import Service
import Views

/// Settings that hold for the whole cluster.
extension NodeService {
    var settings: ClusterSettings? { node.settings }

    func change(_ operation: SettingsOperation) async -> SettingsOutcome {
        let views = actors.views
        return await withCheckedContinuation { continuation in
            node.scheduler.execute { views.onLoop { $0.change(operation) { continuation.resume(returning: $0) } } }
        }
    }
}

import HTTPAPI
import Logging
import Node
import ServiceLifecycle
import TaskHandlers

/// Composes a node out of its settings, and runs it until it is told to leave.
struct NodeRunner {
    let settings: NodeSettings

    func run() async throws {
        var logger = Logger(label: "apus.\(settings.name)")
        logger.logLevel = settings.logLevel
        let outbound = OutboundHTTP(reach: settings.outbound)
        let node: Node
        do {
            node = try Node(
                configuration(logger: logger), registry: settings.registry,
                handlers: BuiltinHandlers.all(http: outbound, secrets: settings.callbackSecrets), logger: logger)
        } catch {
            try? await outbound.shutdown()
            throw error
        }
        let api = APIServer(service: node.service, address: settings.http, logger: logger)
        // A group stops its services from the last to the first: the node hands over what it owns while HTTP still answers
        // (it says that it drains), then HTTP finishes what it has begun. Only after that the node's loop ends.
        let services: [any ServiceLifecycle.Service] = [api, NodeLife(node: node, logger: logger)]
        let group = ServiceGroup(
            configuration: .init(
                services: services.map {
                    .init(
                        service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup)
                }, logger: logger))
        do {
            try await runUntilSignal(group, logger: logger)
        } catch {
            await node.stop()
            try? await outbound.shutdown()
            throw error
        }
        await node.stop()
        // Connections of handlers that do not end: the process does in any case.
        try? await outbound.shutdown()
    }

    private func configuration(logger: Logger) -> NodeConfiguration {
        var configuration = NodeConfiguration(
            name: settings.name, cluster: settings.cluster, http: settings.http, peer: settings.peer,
            gossip: settings.gossip, advertise: settings.advertise, dataDirectory: settings.data,
            workDirectory: settings.work, seeds: resolve(settings.seeds, logger: logger),
            seedNodes: settings.seeds.count, slots: settings.slots, maxQueued: settings.maxQueued,
            maxQueuedBytes: settings.maxQueuedBytes, copies: UInt8(settings.copies), sync: settings.sync,
            onSplit: settings.onSplit)
        configuration.signsCallbacks = settings.callbackSecrets != nil
        return configuration
    }
}

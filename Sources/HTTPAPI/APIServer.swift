import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import Primitives
public import Service
public import ServiceLifecycle

/// The HTTP server of a node.
///
/// `run` returns after a graceful shutdown: it stops accepting, answers what it has begun (long polls at once, with what is
/// known then), and closes the connections.
public struct APIServer: ServiceLifecycle.Service {
    private let address: Address
    private let settings: APISettings
    private let api: API
    private let onListening: @Sendable (Address) async -> Void

    /// - Parameters:
    ///   - address: where to listen; port 0 lets the system choose.
    ///   - onListening: called once with the address that was bound.
    public init(
        service: any ClusterService, address: Address, settings: APISettings = APISettings(), logger: Logger,
        onListening: @escaping @Sendable (Address) async -> Void = { _ in }
    ) {
        self.address = address
        self.settings = settings
        self.onListening = onListening
        api = API(service: service, clock: wallClock, logger: logger)
    }

    public func run() async throws { try await application.run() }

    var application: Application<APIResponder> {
        let (address, settings, onListening) = (address, settings, onListening)
        let count = ConnectionCount(limit: settings.connections)
        let http1 = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionGuard(settings: settings, count: count)],
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: APILimits.headerBytes, maxHeaderListSize: APILimits.headerBytes,
                maxHeaderFieldCount: APILimits.headerFields))
        return Application(
            responder: APIResponder(api: api, routes: RouteTable(Route.all)), server: .http1(configuration: http1),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: Int(address.port)), serverName: nil, backlog: 1024),
            onServerRunning: { channel in
                let port = channel.localAddress?.port.flatMap { UInt16(exactly: $0) }
                await onListening(Address(host: address.host, port: port ?? address.port))
            }, logger: api.logger)
    }
}

/// Milliseconds since 1970 by the system's clock.
@Sendable private func wallClock() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
}

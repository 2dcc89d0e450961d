import NIOCore
import Primitives

/// What the HTTP server allows a connection. Hummingbird has no limit against slow clients by itself.
///
/// A transfer (of a request's body, of a response) may take `transferGrace` plus its bytes at `minimumRate`: a fixed
/// deadline would cut off large bodies, a pure rate would cut off those that stall for a moment.
public struct APISettings: Sendable {
    /// Connections at a time; one more is answered 503 and closed.
    public var connections = 4096
    /// How long a connection may stay open with nothing to do.
    public var idleTimeout: Duration = .seconds(75)
    /// From the first byte of a request to the end of its header.
    public var headTimeout: Duration = .seconds(10)
    public var transferGrace: Duration = .seconds(30)
    /// Bytes a second.
    public var minimumRate = 16 << 10
    /// How long what a client still sends is read and dropped after an error closed the connection: closed at once, the
    /// system would reset it, and the client would never see the answer.
    public var linger: Duration = .seconds(1)

    public init() {}
}

/// Bounds of the HTTP server that are not settings.
enum APILimits {
    /// Names and values of all header fields of one request.
    static let headerBytes = 16 << 10
    static let headerFields = 100
    static let uriBytes = 8 << 10
    /// Errors told about one task; the rest are found by the next try.
    static let reportedErrors = 32
    /// The same about each task of a batch.
    static let reportedBatchErrors = 4
    /// Bodies that are being read, all together, but for the small ones.
    static let bodiesBytes = 256 << 20
    static let smallBodyBytes = 64 << 10
    /// Text of a client that an error message repeats.
    static let quotedBytes = 64
    /// `retry.base` and `retry.max`, in seconds (30 days).
    static let retryRestSeconds = 2_592_000
}

extension TimeAmount {
    init(_ duration: Duration) { self = .nanoseconds(duration.nanoseconds) }
}

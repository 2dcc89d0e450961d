import Primitives

/// The times and bounds of links. The defaults are for a data centre; tests shorten them.
public struct LinkTuning: Sendable {
    /// From the first packet to an established connection.
    public var connectTimeout: Duration = .seconds(1)
    /// From an established connection to the other side's hello.
    public var helloTimeout: Duration = .seconds(2)
    /// A link over which answers are due but nothing has come for so long is dialled anew: it may be half open.
    public var silence: Duration = .seconds(3)
    /// How long after a lost link a refused connection proves that the process has ended. Later the address may belong
    /// to somebody else.
    public var proof: Duration = .seconds(1)
    /// How long a link that was closed with a goodbye may take to empty itself.
    public var goodbye: Duration = .milliseconds(500)
    /// Bytes queued for one peer, in one direction.
    public var queueBytes = Limits.linkQueueBytes
    /// Bytes that were read but not yet taken by the loop: beyond it, nothing more is read.
    public var intakeBytes = Limits.linkQueueBytes
    /// Connections that others have opened.
    public var inboundLinks = Limits.inboundLinks
    /// Links for one request each, to addresses.
    public var temporaryLinks = 64

    public init() {}
}

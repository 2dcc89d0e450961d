/// How often what happened since the start. For metrics.
public struct LinkCounters: Hashable, Sendable {
    /// Links that others dialled.
    public internal(set) var accepted = 0
    /// Hellos that were refused.
    public internal(set) var refused = 0
    /// Connections that were closed because the other side broke the protocol.
    public internal(set) var violations = 0
    /// Connections on which no hello came.
    public internal(set) var withoutHello = 0
    /// Connections that were one too many.
    public internal(set) var overCapacity = 0
    /// Answers that came after the deadline.
    public internal(set) var lateAnswers = 0
    /// Messages that met a link that had gone down.
    public internal(set) var droppedMessages = 0

    mutating func count(_ end: LinkEnd, established: Bool) {
        switch end {
        case .refused: refused += 1
        case .violation: violations += 1
        case .noHello: withoutHello += 1
        case .overCapacity: overCapacity += 1
        case .lost where !established: withoutHello += 1
        case .closed, .goodbye, .lost, .silent, .connectionRefused, .unreachable: break
        }
    }
}

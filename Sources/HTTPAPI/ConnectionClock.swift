import NIOCore

/// When a connection has taken too long: a machine, told what happens and when.
///
/// It counts a time only while it is the client's: the header and the body of a request that waits behind another one on
/// the same connection are not read, so they are not late; a request that is being answered may take as long as its
/// route lets it.
struct ConnectionClock {
    enum Verdict: Hashable {
        /// Nothing to do for too long.
        case idle
        /// The header of a request has not arrived.
        case slowHead
        /// A body arrives too slowly.
        case slowBody
        /// The client does not read the response.
        case slowReader
    }

    private enum Reading: Equatable {
        case nothing
        case head
        case body(bytes: Int)
    }

    private let settings: APISettings
    private var reading = Reading.nothing
    /// Since when `reading` is what it is, and the client's turn.
    private var readingSince: NIODeadline
    /// Requests whose header is there, and whose response is not written to its end.
    private(set) var awaiting = 0
    /// Bytes of responses that the socket has not taken, since when.
    private var writing: (since: NIODeadline, bytes: Int)?

    init(_ settings: APISettings, at now: NIODeadline) {
        self.settings = settings
        readingSince = now
    }

    mutating func bytesArrived(at now: NIODeadline) {
        guard reading == .nothing else { return }
        reading = .head
        readingSince = now
    }

    mutating func headArrived(at now: NIODeadline) {
        awaiting += 1
        reading = .body(bytes: 0)
        readingSince = now
    }

    mutating func bodyArrived(_ bytes: Int) {
        if case .body(let before) = reading { reading = .body(bytes: before + bytes) }
    }

    mutating func requestEnded(at now: NIODeadline) {
        reading = .nothing
        readingSince = now
    }

    mutating func wrote(_ bytes: Int, at now: NIODeadline) {
        writing = (writing?.since ?? now, (writing?.bytes ?? 0) + bytes)
    }

    mutating func responseEnded(at now: NIODeadline) {
        awaiting -= 1
        // From here on it is the client's turn again.
        readingSince = now
    }

    /// The socket has taken all that was written.
    mutating func flushed(at now: NIODeadline) {
        writing = nil
        if awaiting == 0, reading == .nothing { readingSince = now }
    }

    /// Whether a request's body is being read.
    var isReadingBody: Bool { if case .body = reading { true } else { false } }

    /// When it is next due to be asked for its verdict; nil if the time is not the client's.
    var deadline: NIODeadline? { [readingDeadline?.0, writingDeadline].compactMap { $0 }.min() }

    func verdict(at now: NIODeadline) -> Verdict? {
        if let writingDeadline, writingDeadline <= now { return .slowReader }
        if let (deadline, verdict) = readingDeadline, deadline <= now { return verdict }
        return nil
    }

    private var writingDeadline: NIODeadline? { writing.map { $0.since + transferTime($0.bytes) } }

    private var readingDeadline: (NIODeadline, Verdict)? {
        switch reading {
        case .nothing:
            guard awaiting == 0, writing == nil else { return nil }
            return (readingSince + TimeAmount(settings.idleTimeout), .idle)
        case .head:
            guard awaiting == 0 else { return nil }
            return (readingSince + TimeAmount(settings.headTimeout), .slowHead)
        case .body(let bytes):
            guard awaiting <= 1 else { return nil }
            return (readingSince + transferTime(bytes), .slowBody)
        }
    }

    private func transferTime(_ bytes: Int) -> TimeAmount {
        let atRate = Duration.milliseconds(Int64(bytes) * 1000 / Int64(max(1, settings.minimumRate)))
        return TimeAmount(settings.transferGrace + atRate)
    }
}

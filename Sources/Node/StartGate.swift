import Primitives
import Synchronization

/// Whether a handler may be called, for whoever is about to call one on another thread (rule R4: right before the call).
final class StartGate: Sendable {
    private let openUntil = Mutex<Instant?>(nil)

    /// Nil closes it.
    func open(until end: Instant?) { openUntil.withLock { $0 = end } }

    /// - Parameter now: of the clock by which it was opened.
    func isOpen(at now: Instant) -> Bool { openUntil.withLock { $0.map { now < $0 } ?? false } }
}

import Synchronization

/// Tells the first caller from the others, whatever their threads.
final class Once: Sendable {
    private let isTaken = Atomic<Bool>(false)

    func first() -> Bool { !isTaken.exchange(true, ordering: .acquiringAndReleasing) }
}

#if PLANTED_BUGS
/// Bugs that the simulator must find: its checkers are tested by them. Only a build with `-D PLANTED_BUGS` has them, which
/// only `scripts/simulate --mutants` makes; each is an `if` around a line that does the wrong thing.
package enum PlantedBug: String, CaseIterable, Sendable {
    case ackBeforeBackup = "ack-before-backup"

    /// The one that is active.
    ///
    /// `nonisolated(unsafe)`: set before a run begins, by the thread that simulates, and only read during it.
    package nonisolated(unsafe) static var active: PlantedBug?

    @inline(__always)
    package static func isActive(_ bug: PlantedBug) -> Bool { active == bug }
}
#endif

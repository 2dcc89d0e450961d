public import Primitives

/// Where a node's actors run, and what time it is there.
///
/// In production the libuv loop (`EventLoop`); in simulation a seeded executor on a virtual clock. Actors know only this.
public protocol Scheduler: AnyObject, Sendable {
    /// For `unownedExecutor` of the node's actors.
    var serialExecutor: UnownedSerialExecutor { get }

    /// For `Task(executorPreference:)`: a task that awaits loop-side actors starts with it, or every resumption takes a
    /// detour through the global pool.
    var taskExecutor: any TaskExecutor { get }

    /// The monotonic clock. From any thread.
    var now: Instant { get }

    /// A clock that also goes on while the machine sleeps (CLOCK_BOOTTIME), where there is one; its instants mean nothing to
    /// `now`. From any thread.
    var boottime: Instant { get }

    /// The wall clock, in microseconds since 1970. From any thread.
    var microsecondsSince1970: UInt64 { get }

    /// Runs `job` on the loop, after what was handed over before it. From any thread; many jobs share one wake-up.
    func execute(_ job: @escaping @Sendable () -> Void)

    /// Runs `action` on the loop once `delay` has passed. Only on the loop. It runs on the loop's thread, so an actor's
    /// `assumeIsolated` works in it.
    func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> any ScheduledAction
}

extension Scheduler {
    public var boottime: Instant { now }

    /// The wall clock, for people.
    public var timestamp: Timestamp { Timestamp(milliseconds: Int64(microsecondsSince1970 / 1000)) }
}

/// An action that has not run yet.
public protocol ScheduledAction: AnyObject, Sendable {
    /// It will not run. Only on the loop; harmless afterwards and when repeated.
    func cancel()
}

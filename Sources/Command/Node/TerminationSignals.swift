import Dispatch
import Glibc
import Logging
import ServiceLifecycle

/// SIGTERM and SIGINT, one after the other, as they come.
///
/// From the moment it is made, none of them ends the process by itself. When nobody reads any more they stay without effect.
func terminationSignals() -> AsyncStream<Int32> {
    let queue = DispatchQueue(label: "apus.signals")
    return AsyncStream(bufferingPolicy: .bufferingOldest(2)) { continuation in
        for number in [SIGTERM, SIGINT] {
            // The default would end the process before the source hears of it.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            // A source that nobody holds is cancelled: its own handler holds it, for as long as the process lives.
            source.setEventHandler { withExtendedLifetime(source) { _ = continuation.yield(number) } }
            source.resume()
        }
    }
}

/// Runs the group. The first SIGTERM or SIGINT makes it leave in good order; the second ends the process at once, with the
/// exit code that a shell shows for it.
func runUntilSignal(_ group: ServiceGroup, logger: Logger) async throws {
    let signals = terminationSignals()
    let listener = Task {
        var isLeaving = false
        for await number in signals {
            if isLeaving { _exit(128 + number) }
            isLeaving = true
            logger.info(
                "\(number == SIGTERM ? "SIGTERM" : "SIGINT"): leaving; a second signal ends the process at once")
            await group.triggerGracefulShutdown()
        }
    }
    defer { listener.cancel() }
    try await group.run()
}

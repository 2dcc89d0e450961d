import Primitives

extension VirtualProcess {
    /// Sleeps on the process's clock. Throws when its task is cancelled, and when the process ends.
    func sleep(for duration: Duration, isCancellable: Bool = true) async throws(CancellationError) {
        let sleeper = Sleeper()
        timeline.assertThread()
        lastSleeper += 1
        let key = lastSleeper
        let isDone = await withTaskCancellationHandler {
            // Unchecked: of a process that was killed some tasks never go on, as in reality.
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Bool, Never>) in
                guard life == .alive || life == .paused, !sleeper.isCancelled else {
                    return continuation.resume(returning: false)
                }
                sleeper.continuation = continuation
                sleepers[key] = sleeper
                let wait = clock.trueDuration(max(duration, .zero))
                sleeper.timer = timeline.schedule(.handler, for: self, at: timeline.now + wait) {
                    sleeper.wake(true)
                }
            }
        } onCancel: {
            guard isCancellable else { return }
            sleeper.isCancelled = true
            sleeper.wake(false)
        }
        sleepers[key] = nil
        if !isDone { throw CancellationError() }
    }

    /// `@unchecked`: only touched by the world's thread.
    final class Sleeper: @unchecked Sendable {
        var continuation: UnsafeContinuation<Bool, Never>?
        var timer: VirtualTimer?
        var isCancelled = false

        func wake(_ isDone: Bool) {
            timer?.cancel()
            timer = nil
            continuation?.resume(returning: isDone)
            continuation = nil
        }
    }
}

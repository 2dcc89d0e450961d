import CLibuv
import Primitives

/// An action that waits for its time, or for its turn.
///
/// waiting -> fired or cancelled; both are final. While libuv has the timer, it holds this object.
///
/// `@unchecked`: only touched on the loop.
final class LoopTimer: ScheduledAction, @unchecked Sendable {
    private var action: (@Sendable () -> Void)?
    private var timer: UnsafeMutablePointer<uv_timer_t>?

    init(_ action: @escaping @Sendable () -> Void) { self.action = action }

    func start(on uv: UnsafeMutablePointer<uv_loop_t>, due: Instant) {
        let timer = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)
        uv_timer_init(uv, timer)
        timer.pointee.data = Unmanaged.passRetained(self).toOpaque()
        self.timer = timer
        // libuv counts from the time at which the turn began, in whole milliseconds. Counting to the millisecond at or
        // after the due time makes the timer neither early nor dependent on how long the turn has lasted.
        let nanoseconds = UInt64(max(0, due.nanoseconds))
        let milliseconds = nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1)
        let turnBegan = uv_now(uv)
        let delay = milliseconds > turnBegan ? milliseconds - turnBegan : 0
        uv_timer_start(
            timer,
            { timer in
                guard let timer else { return }
                if let uv = timer.pointee.loop { EventLoop.running(uv).beginTurn() }
                LoopTimer.of(handle(timer)).fire()
            }, delay, 0)
    }

    func fire() {
        guard let action else { return }
        cancel()
        action()
    }

    func cancel() {
        action = nil
        guard let timer else { return }
        self.timer = nil
        uv_close(handle(timer)) { closed in
            guard let closed else { return }
            Unmanaged<LoopTimer>.fromOpaque(closed.pointee.data).release()
            UnsafeMutableRawPointer(closed).deallocate()
        }
    }

    static func of(_ handle: UnsafeMutablePointer<uv_handle_t>) -> LoopTimer {
        Unmanaged<LoopTimer>.fromOpaque(handle.pointee.data).takeUnretainedValue()
    }
}

import Glibc

/// A mutual exclusion around a value, on pthreads.
///
/// `Mutex` of the standard library lets the kernel hand a contended lock over, which ThreadSanitizer does not see, so
/// it reports races that are none. In this module that would hide those that are.
///
/// `@unchecked`: `value` is only touched under the mutex.
final class Lock<Value>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }
}

import Glibc

/// Notices tasks that escape from a simulation to Swift's global pool, where no seed rules: the process ends, and says
/// so.
///
/// The runtime asks a hook, if there is one, for every job that is about to go to the pool. The hook passes on whatever
/// does not come from within a `run` of this thread. Its name and type are those of `swift/Runtime/Concurrency.h`. What
/// escapes it (`Task.sleep` of Swift 6.3 asks no hook) is noticed when it comes back from another thread, by
/// `Timeline.assertThread`, if the world is still there; a test looks for such calls in the sources.
enum PoolGuard {
    private typealias Original = @convention(thin) (UnownedJob) -> Void
    private typealias Hook = @convention(thin) (UnownedJob, Original) -> Void
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        precondition(pthread_key_create(&key, nil) == 0, "The system refused a thread-specific key.")
        return key
    }()

    /// Whether the runtime has the hook.
    static let isInstalled: Bool = {
        _ = key
        guard let hook = dlsym(dlopen(nil, RTLD_LAZY), "swift_task_enqueueGlobal_hook") else { return false }
        hook.assumingMemoryBound(to: Hook?.self).pointee = { job, original in
            PoolGuard.check()
            original(job)
        }
        return true
    }()

    static func install() { _ = isInstalled }

    /// From here to `leave` this thread simulates.
    static func enter() { pthread_setspecific(key, UnsafeRawPointer(bitPattern: depth + 1)) }
    static func leave() { pthread_setspecific(key, UnsafeRawPointer(bitPattern: depth - 1)) }

    private static var depth: UInt { UInt(bitPattern: pthread_getspecific(key)) }

    private static func check() {
        precondition(
            pthread_getspecific(key) == nil,
            "A task of the simulation has escaped to the global pool: it was started without an executor.")
    }
}

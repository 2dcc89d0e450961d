import Foundation

/// A process could not be started.
struct LaunchError: Error, CustomStringConvertible {
    var executable: String
    var reason: String
    var description: String { "cannot start \(executable): \(reason)" }
}

/// Starts a process that outlives this one: in a session of its own, with no input, its output appended to a file, every
/// other descriptor closed, and no signal ignored or blocked.
///
/// `posix_spawn` does all of it between fork and exec, in C: nothing of this process's memory or locks is touched.
func launchDetached(
    _ executable: String, _ arguments: [String], environment: [String: String], log: String
) throws(LaunchError) -> ProcessIdentity {
    func check(_ code: Int32) throws(LaunchError) {
        if code != 0 { throw LaunchError(executable: executable, reason: String(cString: strerror(code))) }
    }

    var actions = posix_spawn_file_actions_t()
    try check(posix_spawn_file_actions_init(&actions))
    defer { posix_spawn_file_actions_destroy(&actions) }
    try check(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0))
    try check(posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o644))
    try check(posix_spawn_file_actions_adddup2(&actions, 1, 2))
    // Nearly all have the flag that closes them; those inherited from a shell do not. One that is opened while we look has it.
    for descriptor in try openDescriptors() where descriptor > 2 {
        try check(posix_spawn_file_actions_addclose(&actions, descriptor))
    }

    var attributes = posix_spawnattr_t()
    try check(posix_spawnattr_init(&attributes))
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    try check(posix_spawnattr_setsigmask(&attributes, &none))
    try check(posix_spawnattr_setsigdefault(&attributes, &all))
    let flags = newSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF)
    try check(posix_spawnattr_setflags(&attributes, flags))

    var pid: pid_t = 0
    let pairs = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    let code = withCStrings([executable] + arguments) { arguments in
        withCStrings(pairs) { pairs in posix_spawn(&pid, executable, &actions, &attributes, arguments, pairs) }
    }
    try check(code)
    // It is a child of ours, so even one that has ended at once is still in the table, as a zombie.
    guard let identity = ProcessIdentity(pid: pid) else {
        throw LaunchError(executable: executable, reason: "/proc/\(pid) cannot be read")
    }
    return identity
}

/// The array of C strings, ended by a null pointer, that exec and spawn take; freed afterwards.
func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { (pointers + index).initialize(to: strdup(string)) }
    (pointers + strings.count).initialize(to: nil)
    defer {
        for index in strings.indices { free(pointers[index]) }
        pointers.deallocate()
    }
    return body(pointers)
}

/// `POSIX_SPAWN_SETSID` of glibc 2.26 and later, which Swift does not import: a session of its own, so that neither the end
/// of the terminal nor Ctrl-C reaches it.
private let newSession: Int16 = 0x80

private func openDescriptors() throws(LaunchError) -> [Int32] {
    do {
        return try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }
    } catch {
        throw LaunchError(executable: "/proc/self/fd", reason: error.localizedDescription)
    }
}

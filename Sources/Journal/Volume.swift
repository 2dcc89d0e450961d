public import EventLoop

/// The folder in which a node keeps what must survive a restart: on a disk (`DiskVolume`), or a simulated one.
///
/// Names are plain file names, without a slash. What was written is durable only after `sync` of the file and, for a
/// file that was created, renamed or removed, `syncFolder`.
public protocol Volume: AnyObject, Sendable {
    // MARK: Before the loop runs: these block.

    /// Every file's name, ascending.
    func list() throws(SystemError) -> [String]

    /// The content; nil if there is no such file. More than `limit` bytes are refused with EFBIG.
    func read(_ name: String, upTo limit: Int) throws(SystemError) -> [UInt8]?

    /// As `perform`, and waits for it.
    func performNow(_ operations: [FileOperation]) throws(SystemError)

    /// Replaces or creates a small file durably. When this returns `bytes` are durable; when it throws, the old content
    /// is.
    func replaceNow(_ name: String, with bytes: [UInt8]) throws(SystemError)

    // MARK: On the loop: a completion runs on the loop, once, never before the call has returned.

    /// Replaces or creates a small file durably. What is handed over while the same file is being written is written
    /// next, and only the newest of it: all that wait are told together.
    func replace(
        _ name: String, with bytes: [UInt8], completion: @escaping @Sendable (Result<Void, SystemError>) -> Void)

    /// A part of a file: at most `count` bytes from `offset` on, fewer at its end; nil if there is no such file. Does not wait
    /// for `perform`: for files that do not change any more.
    func load(
        _ name: String, from offset: Int, count: Int,
        completion: @escaping @Sendable (Result<[UInt8]?, SystemError>) -> Void)

    /// Carries the operations out, one after the other; stops at the first that fails. Calls follow each other.
    func perform(
        _ operations: [FileOperation], completion: @escaping @Sendable (Result<Void, FileFailure>) -> Void)
}

public enum FileOperation: Hashable, Sendable {
    /// A new, empty file; `reserving` bytes on the disk, so that writing that much cannot fail for lack of room. Its
    /// length is 0 all the same. Fails with EEXIST if there is one.
    case create(String, reserving: Int)
    /// At the end of the file.
    case append(String, [UInt8])
    /// Cuts the file.
    case truncate(String, to: Int)
    /// Writes what the file holds from there on once more, in its place. What a process has written and could not sync,
    /// the next one reads as if it were on the disk, and no sync would write it, since the kernel takes it for written.
    case rewrite(String, from: Int)
    /// Makes the file's content durable (fdatasync).
    case sync(String)
    case rename(String, to: String)
    case remove(String)
    /// Makes creations, renames and removals durable.
    case syncFolder
}

/// Why `perform` stopped: which operation, and how. Of a failed `append` a part may have been written.
public struct FileFailure: Error, Hashable, Sendable {
    public var index: Int
    public var error: SystemError

    public init(index: Int, error: SystemError) {
        self.index = index
        self.error = error
    }
}

import Glibc

/// The right to use a directory alone, held until `release` or the end of the process.
public final class DirectoryLock: Sendable {
    /// The file in the directory whose lock is taken; it stays there.
    public static let fileName = "lock"

    private let descriptor: Int32
    private let isReleased = Once()

    /// Throws `Conflict` if another holds the directory, `SystemError` if it cannot be used at all.
    public init(_ directory: String) throws {
        let path = directory + "/" + Self.fileName
        descriptor = try DurableFile.open(path, O_RDWR | O_CREAT | O_CLOEXEC)
        do {
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let code = errno
                guard code == EWOULDBLOCK else { throw SystemError(operation: "lock \(path)", code: code) }
                throw Conflict(directory: directory, holder: Self.holder(path))
            }
            try DurableFile.call("write \(path)") { ftruncate(descriptor, 0) }
            try DurableFile.write(Array("\(getpid())\n".utf8), to: descriptor, path: path)
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit { release() }

    /// Harmless when repeated.
    public func release() { if isReleased.first() { close(descriptor) } }

    /// Another process, or another lock of this one, holds the directory.
    public struct Conflict: Error, Hashable, Sendable, CustomStringConvertible {
        public let directory: String
        /// Nil if the holder has not yet written who it is.
        public let holder: Int32?

        public var description: String {
            let who = holder.map { "the process with pid \($0)" } ?? "another process"
            return "\(directory) is in use by \(who): stop it, or give this node a directory of its own"
        }
    }

    private static func holder(_ path: String) -> Int32? {
        // Who it is only helps to read the error; the conflict is reported without it, too.
        guard let bytes = try? DurableFile.read(path, upTo: 32) else { return nil }
        return Int32(String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self))
    }
}

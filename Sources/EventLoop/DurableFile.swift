import CLibuv
import Glibc

/// Small files that are replaced as a whole and survive a loss of power, by calls that block.
public enum DurableFile {
    /// Appended to the name while the new content is written.
    public static let temporarySuffix = ".new"

    /// Replaces or creates the file. When this returns, `bytes` are durable; if it throws, the old content is, unless
    /// only the directory's sync failed: then either is. Two threads may not replace one file at a time.
    public static func replace(_ path: String, with bytes: [UInt8]) throws(SystemError) {
        let temporary = path + temporarySuffix
        let descriptor = try open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC)
        do throws(SystemError) {
            do throws(SystemError) {
                try write(bytes, to: descriptor, path: temporary)
                try call("sync \(temporary)") { fdatasync(descriptor) }
            } catch {
                close(descriptor)
                throw error
            }
            // Late errors of a network file system come here.
            try call("close \(temporary)") { close(descriptor) }
            try call("rename \(temporary) to \(path)") { rename(temporary, path) }
        } catch {
            unlink(temporary)
            throw error
        }
        try syncDirectory(of: path)
    }

    /// The content, or nil if there is no such file. A file of more than `limit` bytes is refused with EFBIG.
    public static func read(_ path: String, upTo limit: Int) throws(SystemError) -> [UInt8]? {
        let descriptor: Int32
        do throws(SystemError) { descriptor = try open(path, O_RDONLY | O_CLOEXEC) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while true {
            let chunk = [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, count in
                count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                if count < 0 { count = 0 }
            }
            // `read` fails on a file only where retrying is no use (a directory, a bad disk), and then returns nothing.
            guard !chunk.isEmpty else { break }
            guard bytes.count + chunk.count <= limit else {
                throw SystemError(
                    operation: "read \(path)", code: EFBIG, advice: "at most \(limit) bytes were expected")
            }
            bytes += chunk
        }
        return bytes
    }

    package static func open(_ path: String, _ flags: Int32) throws(SystemError) -> Int32 {
        while true {
            let descriptor = Glibc.open(path, flags, 0o600)
            if descriptor >= 0 { return descriptor }
            let code = errno
            guard code == EINTR else { throw SystemError(operation: "open \(path)", code: code) }
        }
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(SystemError) {
        var position = 0
        while position < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: position), $0.count - position)
            }
            if count >= 0 {
                position += count
            } else if errno != EINTR {
                throw SystemError(operation: "write \(path)", code: errno)
            }
        }
    }

    private static func syncDirectory(of path: String) throws(SystemError) {
        try sync(directory: path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
    }

    /// Makes creations, renames and removals in it durable.
    package static func sync(directory: String) throws(SystemError) {
        let descriptor = try open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        try call("sync \(directory)") { fsync(descriptor) }
    }

    /// Reserves room on the disk for the file's first `bytes` bytes; its length stays. As a call of the system: 0, or -1
    /// and errno: ENOSPC, EDQUOT; EOPNOTSUPP where the file system cannot.
    package static func reserve(_ bytes: Int, for descriptor: Int32) -> Int32 { apus_reserve(descriptor, bytes) }

    package static func call(_ operation: @autoclosure () -> String, _ body: () -> Int32) throws(SystemError) {
        guard body() != 0 else { return }
        let code = errno
        throw SystemError(operation: operation(), code: code)
    }
}

import Foundation
import TaskExecution

/// An open file or folder, closed with its last reference.
final class Descriptor: Sendable {
    let number: Int32

    /// Takes what `open` returned, right after it.
    init(_ number: Int32, _ action: String, _ place: String) throws(HandlerError) {
        guard number >= 0 else { throw Self.failure(action, place) }
        self.number = number
    }

    /// Nothing could be done about a failure: what was written is synced before.
    deinit { close(number) }

    /// What `errno` says. Whether trying again may help depends on it: a name that is wrong stays wrong, a full disk
    /// need not stay full.
    static func failure(_ action: String, _ place: String) -> HandlerError {
        let code = errno
        let isPermanent = [ENOENT, ENOTDIR, ELOOP, EISDIR, ENAMETOOLONG, EACCES, EPERM, ENXIO].contains(code)
        let hint = code == ELOOP || code == ENOTDIR ? " (symbolic links are not followed)" : ""
        return HandlerError(
            type: "file_error", message: "could not \(action) \(place): \(String(cString: strerror(code)))\(hint)",
            isRetryable: !isPermanent)
    }

    /// Opens what stands in this folder under `name`.
    func open(_ name: String, _ flags: Int32, mode: mode_t, _ place: String) throws(HandlerError) -> Descriptor {
        try Descriptor(openat(number, name, flags, mode), "open", "\(place) (\(name))")
    }

    func regularFileSize(_ place: String) throws(HandlerError) -> Int {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw Self.failure("examine", place) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw HandlerError(type: "file_error", message: "\(place) is not a regular file", isRetryable: false)
        }
        return Int(status.st_size)
    }

    /// Everything up to the end, which may have moved since the size was asked.
    func read(upTo limit: Int, _ place: String) throws(HandlerError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = chunk.withUnsafeMutableBytes { Foundation.read(number, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.failure("read", place)
            }
            bytes += chunk[..<count]
            guard bytes.count <= limit else {
                throw HandlerError(
                    type: "too_large", message: "\(place) grew beyond \(limit) bytes", isRetryable: false)
            }
        }
    }

    func write(_ bytes: [UInt8], _ place: String) throws(HandlerError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(number, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.failure("write", place)
            }
            rest = rest.dropFirst(count)
        }
    }
}

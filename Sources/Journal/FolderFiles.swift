import EventLoop
import Glibc
import Primitives

/// The calls of the system that tests let fail: each as in its manual, -1 and `errno` for an error.
struct SystemCalls: Sendable {
    var write: @Sendable (Int32, UnsafeRawPointer?, Int) -> Int = { Glibc.write($0, $1, $2) }
    var sync: @Sendable (Int32) -> Int32 = { fdatasync($0) }
    var reserve: @Sendable (Int, Int32) -> Int32 = { DurableFile.reserve($0, for: $1) }
    /// Bytes that the file system of an open file has left for this process; nil if it does not say.
    var room: @Sendable (Int32) -> Int? = { descriptor in
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0, status.f_blocks > 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? .max : Int(clamping: bytes)
    }
}

/// The files of one folder, by calls that block.
///
/// Keeps `Limits.volumeDescriptors` of them open. An error of a file's writing is told to whoever syncs it next, also
/// by another descriptor (Linux 4.13 and later), so closing one in between hides nothing.
///
/// `@unchecked`: not thread-safe; `DiskVolume` uses it from one thread after the other.
final class FolderFiles: @unchecked Sendable {
    private let folder: String
    private let calls: SystemCalls
    /// The most recently used last.
    private var open: [(name: String, descriptor: Int32)] = []

    init(_ folder: String, calls: SystemCalls) {
        self.folder = folder
        self.calls = calls
    }

    deinit { for file in open { close(file.descriptor) } }

    func path(_ name: String) -> String { folder + "/" + name }

    // MARK: - Reading

    /// Files only, ascending; other folders are none.
    func list() throws(SystemError) -> [String] {
        guard let stream = opendir(folder) else {
            let code = errno
            throw SystemError(operation: "list \(folder)", code: code)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                let code = errno
                guard code == 0 else { throw SystemError(operation: "list \(folder)", code: code) }
                return names.sorted()
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            var type = Int32(entry.pointee.d_type)
            if type == Int32(DT_UNKNOWN) {
                var status = stat()
                try DurableFile.call("look at \(path(name))") { lstat(path(name), &status) }
                type = status.st_mode & S_IFMT == S_IFREG ? Int32(DT_REG) : Int32(DT_DIR)
            }
            if type == Int32(DT_REG) { names.append(name) }
        }
    }

    func read(_ name: String, upTo limit: Int) throws(SystemError) -> [UInt8]? {
        let path = path(name)
        return try Self.withFile(path) { descriptor, length throws(SystemError) in
            guard length <= limit else {
                throw SystemError(
                    operation: "read \(path)", code: EFBIG, advice: "at most \(limit) bytes were expected")
            }
            return try Self.read(path, descriptor, from: 0, count: length)
        }
    }

    /// At most `count` bytes from `offset` on. Touches nothing of a `FolderFiles`: from any thread.
    static func read(_ path: String, from offset: Int, count: Int) throws(SystemError) -> [UInt8]? {
        try withFile(path) { descriptor, length throws(SystemError) in
            try read(path, descriptor, from: offset, count: min(count, max(0, length - offset)))
        }
    }

    /// Nil: there is no such file.
    private static func withFile(
        _ path: String, _ body: (_ descriptor: Int32, _ length: Int) throws(SystemError) -> [UInt8]
    ) throws(SystemError) -> [UInt8]? {
        let descriptor: Int32
        do throws(SystemError) { descriptor = try DurableFile.open(path, O_RDONLY | O_CLOEXEC) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        defer { close(descriptor) }
        var status = stat()
        try DurableFile.call("look at \(path)") { fstat(descriptor, &status) }
        return try body(descriptor, Int(status.st_size))
    }

    private static func read(
        _ path: String, _ descriptor: Int32, from offset: Int, count length: Int
    ) throws(SystemError) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            while count < length {
                let got = pread(
                    descriptor, buffer.baseAddress?.advanced(by: count), length - count, off_t(offset + count))
                if got > 0 {
                    count += got
                } else if got == 0 {
                    return  // It became shorter meanwhile: what there is counts.
                } else if errno != EINTR {
                    failure = errno
                    return
                }
            }
        }
        guard failure == 0 else { throw SystemError(operation: "read \(path)", code: failure) }
        return bytes
    }

    // MARK: - Changing

    func perform(_ operation: FileOperation) throws(SystemError) {
        switch operation {
        case .create(let name, let room): try create(name, reserving: room)
        case .append(let name, let bytes): try append(bytes, to: name)
        case .truncate(let name, let length):
            let descriptor = try descriptor(of: name)
            try call("truncate \(path(name))") { ftruncate(descriptor, off_t(length)) }
        case .rewrite(let name, let offset): try rewrite(name, from: offset)
        case .sync(let name): try sync(name)
        case .rename(let name, let new):
            forget(name)
            forget(new)
            try call("rename \(path(name)) to \(path(new))") { Glibc.rename(path(name), path(new)) }
        case .remove(let name):
            forget(name)
            try call("remove \(path(name))") { unlink(path(name)) }
        case .syncFolder: try DurableFile.sync(directory: folder)
        }
    }

    private func create(_ name: String, reserving room: Int) throws(SystemError) {
        forget(name)
        let descriptor = try DurableFile.open(path(name), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC)
        do throws(SystemError) {
            if room > 0 { try reserve(room, for: descriptor, name) }
        } catch {
            close(descriptor)
            unlink(path(name))
            throw error
        }
        remember(name, descriptor)
    }

    /// Where there is clearly too little room it is not even tried: an attempt takes what there is until it fails, and
    /// others who write small files at that moment, this node's view for one, would find a full disk.
    private func reserve(_ room: Int, for descriptor: Int32, _ name: String) throws(SystemError) {
        let margin = min(Limits.volumeMargin, room / 16)
        if let left = calls.room(descriptor), left < room + margin {
            throw SystemError(
                operation: "reserve \(room) bytes for \(path(name))", code: ENOSPC, advice: "\(left) bytes are left")
        }
        do throws(SystemError) {
            try call("reserve \(room) bytes for \(path(name))") { calls.reserve(room, descriptor) }
        } catch {
            guard error.code == EOPNOTSUPP || error.code == ENOSYS else { throw error }
        }
    }

    private func append(_ bytes: [UInt8], to name: String) throws(SystemError) {
        let descriptor = try descriptor(of: name)
        var position = 0
        while position < bytes.count {
            let count = bytes.withUnsafeBytes {
                calls.write(descriptor, $0.baseAddress?.advanced(by: position), $0.count - position)
            }
            if count > 0 {
                position += count
            } else if count == 0 {
                // Never seen on files; it must not be taken for progress.
                throw SystemError(operation: "write \(path(name))", code: EIO, advice: "nothing was written")
            } else {
                let code = errno
                if code != EINTR { throw SystemError(operation: "write \(path(name))", code: code) }
            }
        }
    }

    /// The descriptors that are kept append, wherever one asks them to write.
    private func rewrite(_ name: String, from offset: Int) throws(SystemError) {
        let descriptor = try DurableFile.open(path(name), O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        var position = offset
        while true {
            let count = pread(descriptor, &chunk, chunk.count, off_t(position))
            if count == 0 { return }
            if count < 0 {
                let code = errno
                guard code == EINTR else { throw SystemError(operation: "read \(path(name))", code: code) }
                continue
            }
            var written = 0
            while written < count {
                let more = chunk.withUnsafeBytes {
                    pwrite(
                        descriptor, $0.baseAddress?.advanced(by: written), count - written, off_t(position + written))
                }
                if more > 0 {
                    written += more
                } else {
                    let code = more == 0 ? EIO : errno
                    guard code == EINTR else { throw SystemError(operation: "write \(path(name))", code: code) }
                }
            }
            position += count
        }
    }

    private func sync(_ name: String) throws(SystemError) {
        let descriptor = try descriptor(of: name)
        do throws(SystemError) {
            try call("sync \(path(name))") { calls.sync(descriptor) }
        } catch {
            // What the disk did not take is in memory still, as if it had. The next process should read what the disk
            // has; where it does not, it writes it again.
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
            throw error
        }
    }

    private func call(_ operation: @autoclosure () -> String, _ body: () -> Int32) throws(SystemError) {
        while true {
            if body() == 0 { return }
            let code = errno
            guard code == EINTR else { throw SystemError(operation: operation(), code: code) }
        }
    }

    // MARK: - Descriptors

    private func descriptor(of name: String) throws(SystemError) -> Int32 {
        if let index = open.firstIndex(where: { $0.name == name }) {
            let file = open.remove(at: index)
            open.append(file)
            return file.descriptor
        }
        let descriptor = try DurableFile.open(path(name), O_WRONLY | O_APPEND | O_CLOEXEC)
        remember(name, descriptor)
        return descriptor
    }

    private func remember(_ name: String, _ descriptor: Int32) {
        if open.count == Limits.volumeDescriptors { close(open.removeFirst().descriptor) }
        open.append((name, descriptor))
    }

    private func forget(_ name: String) {
        guard let index = open.firstIndex(where: { $0.name == name }) else { return }
        close(open.remove(at: index).descriptor)
    }
}

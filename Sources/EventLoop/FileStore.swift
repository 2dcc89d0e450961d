import Glibc

/// Replaces small durable files without holding up the loop: what a node has to remember before it may answer.
///
/// Writes to one file follow each other. What is handed over while one is under way is written next, and only the
/// newest of it: all that wait are told together, when their bytes *or later ones* are durable.
///
/// All functions only on the loop. `@unchecked`: only touched there.
public final class FileStore: @unchecked Sendable {
    public typealias Completion = @Sendable (Result<Void, SystemError>) -> Void

    /// Calls that wait for one file at most; beyond that they fail with EBUSY.
    public static let waiters = 4096

    private struct File {
        var next: (bytes: [UInt8], completions: [Completion])?
    }

    private let loop: EventLoop
    /// The files that are being written. Never iterated.
    private var files: [String: File] = [:]

    public init(on loop: EventLoop) { self.loop = loop }

    /// As `DurableFile.replace`, on libuv's pool. `completion` runs once on the loop, never before this returns.
    public func replaceFile(_ path: String, with bytes: [UInt8], completion: @escaping Completion) {
        loop.assertCurrent()
        guard var file = files[path] else {
            files[path] = File()
            return write(path, bytes, [completion])
        }
        var completions = file.next?.completions ?? []
        guard completions.count < Self.waiters else {
            return loop.execute { completion(.failure(SystemError(operation: "write \(path)", code: EBUSY))) }
        }
        completions.append(completion)
        file.next = (bytes, completions)
        files[path] = file
    }

    private func write(_ path: String, _ bytes: [UInt8], _ completions: [Completion]) {
        loop.offload {
            Result { () throws(SystemError) in try DurableFile.replace(path, with: bytes) }
        } completion: { [self] result in
            if let next = files[path]?.next {
                files[path]?.next = nil
                write(path, next.bytes, next.completions)
            } else {
                files[path] = nil
            }
            for completion in completions { completion(result) }
        }
    }
}

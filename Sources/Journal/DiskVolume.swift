public import EventLoop
import Glibc
import Primitives

/// A volume on a real folder, which has to exist.
///
/// Asynchronous operations run on libuv's pool, one call of `perform` after the other. Files that are appended to, cut
/// or synced are kept open, a few at a time. `replace` does not wait for `perform`, since they concern different files.
///
/// On file systems that cannot reserve room (EOPNOTSUPP) `create` goes on without: then an append may fail for lack of
/// it.
///
/// `@unchecked`: `waiting` and `isBusy` are only touched on the loop; `files` only before the loop runs, and then by
/// one piece of work on the pool at a time, which libuv hands from thread to thread.
public final class DiskVolume: Volume, @unchecked Sendable {
    public let folder: String

    private typealias Completion = @Sendable (Result<Void, FileFailure>) -> Void

    private let loop: EventLoop?
    private let store: FileStore?
    private let files: FolderFiles
    private var waiting: [(operations: [FileOperation], completion: Completion)] = []
    private var isBusy = false

    /// - Parameters:
    ///   - folder: where the files are.
    ///   - loop: where `replace` and `perform` may be called; without one they trap.
    public convenience init(_ folder: String, on loop: EventLoop? = nil) {
        self.init(folder, on: loop, calls: SystemCalls())
    }

    init(_ folder: String, on loop: EventLoop?, calls: SystemCalls) {
        self.folder = folder
        self.loop = loop
        store = loop.map { FileStore(on: $0) }
        files = FolderFiles(folder, calls: calls)
    }

    // MARK: - Blocking

    public func list() throws(SystemError) -> [String] { try files.list() }

    public func read(_ name: String, upTo limit: Int) throws(SystemError) -> [UInt8]? {
        try files.read(name, upTo: limit)
    }

    public func performNow(_ operations: [FileOperation]) throws(SystemError) {
        precondition(!isBusy, "Once the loop runs use `perform`.")
        for operation in operations { try files.perform(operation) }
    }

    public func replaceNow(_ name: String, with bytes: [UInt8]) throws(SystemError) {
        try DurableFile.replace(files.path(name), with: bytes)
    }

    // MARK: - On the loop

    public func replace(
        _ name: String, with bytes: [UInt8], completion: @escaping @Sendable (Result<Void, SystemError>) -> Void
    ) {
        guard let store else { preconditionFailure("This volume was made without a loop.") }
        store.replaceFile(files.path(name), with: bytes, completion: completion)
    }

    public func load(
        _ name: String, from offset: Int, count: Int,
        completion: @escaping @Sendable (Result<[UInt8]?, SystemError>) -> Void
    ) {
        guard let loop else { preconditionFailure("This volume was made without a loop.") }
        let path = files.path(name)
        loop.offload {
            Result { () throws(SystemError) in try FolderFiles.read(path, from: offset, count: count) }
        } completion: {
            completion($0)
        }
    }

    public func perform(
        _ operations: [FileOperation], completion: @escaping @Sendable (Result<Void, FileFailure>) -> Void
    ) {
        guard isBusy else { return start(operations, completion) }
        guard waiting.count < Limits.volumeCalls else {
            let error = SystemError(operation: "write in \(folder)", code: EBUSY)
            loop?.execute { completion(.failure(FileFailure(index: 0, error: error))) }
            return
        }
        waiting.append((operations, completion))
    }

    private func start(_ operations: [FileOperation], _ completion: @escaping Completion) {
        guard let loop else { preconditionFailure("This volume was made without a loop.") }
        isBusy = true
        // How far the work came is part of its result: `offload` fails by itself only if it never began.
        loop.offload { [files] () -> Result<FileFailure?, SystemError> in
            for (index, operation) in operations.enumerated() {
                do throws(SystemError) { try files.perform(operation) } catch {
                    return .success(FileFailure(index: index, error: error))
                }
            }
            return .success(nil)
        } completion: { [self] result in
            isBusy = false
            if !waiting.isEmpty {
                let next = waiting.removeFirst()
                start(next.operations, next.completion)
            }
            switch result {
            case .success(nil): completion(.success(()))
            case .success(let failure?): completion(.failure(failure))
            case .failure(let error): completion(.failure(FileFailure(index: 0, error: error)))
            }
        }
    }
}

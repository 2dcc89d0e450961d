import EventLoop
import Glibc
import Journal
import Primitives

/// A disk in memory that knows what is synced, and does as its script says.
///
/// `@unchecked`: only used by one test, on one thread.
final class MemoryVolume: Volume, @unchecked Sendable {
    /// A file; its name is the folder's business.
    final class File {
        var content: [UInt8] = []
        var synced: [UInt8] = []
        /// Room that it takes even if its content is shorter.
        var reserved = 0
        /// What a failed sync was to write: the system takes it for written, and no later sync writes it.
        var lost = 0..<0
        var taken: Int { max(reserved, content.count) }
    }

    enum Fault: Hashable {
        /// The machine stops before the operation, or when it is done and not yet told.
        case crashBefore, crashAfter
        /// It fails. Of what is to be appended, the first bytes are there.
        case error(Int32, keeping: Int)
    }

    /// How operations end, by their number; consumed.
    var faults: [Int: Fault] = [:]
    /// Asked for each operation that no fault is for.
    var policy: (Int, FileOperation) -> Int32? = { _, _ in nil }
    /// Bytes that all files may take together.
    var capacity = Int.max
    /// As some file systems.
    var reservesNothing = false

    private(set) var files: [String: File] = [:]
    /// What the folder held when it was last synced.
    private var syncedFiles: [String: File] = [:]
    private(set) var log: [FileOperation] = []
    private(set) var isCrashed = false
    /// Operations whose end was told.
    private(set) var completed = 0
    private let scheduler: VirtualScheduler

    init(_ scheduler: VirtualScheduler) { self.scheduler = scheduler }

    var taken: Int { files.values.reduce(0) { $0 + $1.taken } }

    // MARK: - Volume

    func list() throws(SystemError) -> [String] { files.keys.sorted() }

    func read(_ name: String, upTo limit: Int) throws(SystemError) -> [UInt8]? {
        guard let content = files[name]?.content else { return nil }
        guard content.count <= limit else { throw SystemError(operation: "read \(name)", code: EFBIG) }
        return content
    }

    func performNow(_ operations: [FileOperation]) throws(SystemError) {
        for operation in operations { try step(operation) }
    }

    func perform(
        _ operations: [FileOperation], completion: @escaping @Sendable (Result<Void, FileFailure>) -> Void
    ) {
        var result: Result<Void, FileFailure> = .success(())
        for (index, operation) in operations.enumerated() {
            do throws(SystemError) { try step(operation) } catch {
                result = .failure(FileFailure(index: index, error: error))
                break
            }
        }
        guard !isCrashed else { return }  // Nobody is left to hear of it.
        let told = result
        scheduler.execute { [self] in
            completed += operations.count
            completion(told)
        }
    }

    func load(
        _ name: String, from offset: Int, count: Int,
        completion: @escaping @Sendable (Result<[UInt8]?, SystemError>) -> Void
    ) { preconditionFailure("The journal reads nothing while it runs.") }

    func replaceNow(_ name: String, with bytes: [UInt8]) throws(SystemError) {
        preconditionFailure("The journal replaces nothing.")
    }

    func replace(
        _ name: String, with bytes: [UInt8], completion: @escaping @Sendable (Result<Void, SystemError>) -> Void
    ) { preconditionFailure("The journal replaces nothing.") }

    // MARK: - Operations

    private func step(_ operation: FileOperation) throws(SystemError) {
        guard !isCrashed else { throw SystemError(operation: "\(operation)", code: ECANCELED) }
        let number = log.count
        let fault = faults.removeValue(forKey: number)
        if fault == .crashBefore {
            isCrashed = true
            throw SystemError(operation: "\(operation)", code: ECANCELED)
        }
        log.append(operation)
        if case .error(let code, let kept) = fault {
            if case .append(let name, let bytes) = operation { files[name]?.content += bytes.prefix(kept) }
            if case .sync(let name) = operation { loseUnsynced(name) }
            throw SystemError(operation: "\(operation)", code: code)
        }
        if fault == nil, let code = policy(number, operation) {
            if case .sync(let name) = operation { loseUnsynced(name) }
            throw SystemError(operation: "\(operation)", code: code)
        }
        try carryOut(operation)
        if fault == .crashAfter {
            isCrashed = true
            throw SystemError(operation: "\(operation)", code: ECANCELED)
        }
    }

    private func loseUnsynced(_ name: String) {
        guard let file = files[name], file.content.count > file.synced.count else { return }
        file.lost = (file.lost.isEmpty ? file.synced.count : file.lost.lowerBound)..<file.content.count
    }

    private func carryOut(_ operation: FileOperation) throws(SystemError) {
        func file(_ name: String) throws(SystemError) -> File {
            guard let file = files[name] else { throw SystemError(operation: "\(operation)", code: ENOENT) }
            return file
        }
        switch operation {
        case .create(let name, let room):
            guard files[name] == nil else { throw SystemError(operation: "\(operation)", code: EEXIST) }
            let room = reservesNothing ? 0 : room
            guard taken + room <= capacity else { throw SystemError(operation: "\(operation)", code: ENOSPC) }
            let created = File()
            created.reserved = room
            files[name] = created
        case .append(let name, let bytes):
            let file = try file(name)
            let growth = max(0, file.content.count + bytes.count - file.taken)
            let room = max(0, capacity - taken)
            guard growth <= room else {
                file.content += bytes.prefix(bytes.count - (growth - room))
                throw SystemError(operation: "append to \(name)", code: ENOSPC)
            }
            file.content += bytes
        case .truncate(let name, let length):
            let file = try file(name)
            guard length <= file.content.count else { throw SystemError(operation: "\(operation)", code: EINVAL) }
            file.content.removeLast(file.content.count - length)
            file.reserved = 0
            file.lost = min(file.lost.lowerBound, length)..<min(file.lost.upperBound, length)
        case .rewrite(let name, let offset):
            let file = try file(name)
            file.lost = min(file.lost.lowerBound, offset)..<min(file.lost.upperBound, offset)
        case .sync(let name):
            let file = try file(name)
            file.synced = file.content
            for index in file.lost { file.synced[index] = 0 }
        case .rename(let name, let new):
            files[new] = try file(name)
            files[name] = nil
        case .remove(let name):
            _ = try file(name)
            files[name] = nil
        case .syncFolder: syncedFiles = files
        }
    }

    // MARK: - What is left

    /// What the next process finds.
    enum Survival: Hashable {
        /// All that was written, with what is synced and what is not: only the process ended.
        case everything
        /// What was synced.
        case synced
        /// What was synced, and any part of the rest, as drawn.
        case some(seed: UInt64)
        /// All, but of the file that was written last only the first bytes.
        case prefix(of: String, bytes: Int)
    }

    /// A new disk that holds what is left of this one.
    func survivor(_ survival: Survival, _ scheduler: VirtualScheduler) -> MemoryVolume {
        let disk = MemoryVolume(scheduler)
        disk.capacity = capacity
        func add(_ name: String, _ content: [UInt8], reserved: Int) {
            let file = File()
            file.content = content
            file.synced = content
            file.reserved = reserved
            disk.files[name] = file
        }
        switch survival {
        case .everything:
            var copies: [ObjectIdentifier: File] = [:]
            func copy(_ file: File) -> File {
                if let copy = copies[ObjectIdentifier(file)] { return copy }
                let copy = File()
                copy.content = file.content
                copy.synced = file.synced
                copy.reserved = file.reserved
                copy.lost = file.lost
                copies[ObjectIdentifier(file)] = copy
                return copy
            }
            disk.files = files.mapValues(copy)
            disk.syncedFiles = syncedFiles.mapValues(copy)
            return disk
        case .synced: for (name, file) in syncedFiles { add(name, file.synced, reserved: file.reserved) }
        case .prefix(let torn, let bytes):
            for (name, file) in files {
                add(
                    name, name == torn ? Array(file.content.prefix(max(bytes, file.synced.count))) : file.content,
                    reserved: file.reserved)
            }
        case .some(let seed):
            var generator = SeededGenerator(seed: seed)
            for name in Set(files.keys).union(syncedFiles.keys).sorted() {
                let isUncertain = files[name] !== syncedFiles[name]
                let file = isUncertain && Bool.random(using: &generator) ? syncedFiles[name] : files[name]
                if let file { add(name, Self.mixed(file, &generator), reserved: file.reserved) }
            }
        }
        disk.syncedFiles = disk.files
        return disk
    }

    /// The synced content, followed by a part of what is not: a prefix in which some blocks never came.
    private static func mixed(_ file: File, _ generator: inout SeededGenerator) -> [UInt8] {
        let common = zip(file.content, file.synced).prefix { $0 == $1 }.count
        // A file that was cut without a sync may come back with either length.
        if common < file.synced.count { return Bool.random(using: &generator) ? file.synced : file.content }
        var content = Array(file.content.prefix(Int.random(in: common...file.content.count, using: &generator)))
        let block = [16, 64, 512].randomElement(using: &generator) ?? 16
        for start in stride(from: common, to: content.count, by: block)
        where UInt8.random(in: 0..<4, using: &generator) == 0 {
            for index in start..<min(start + block, content.count) { content[index] = 0 }
        }
        return content
    }

    // MARK: - For tests of what is written

    /// Sets a file's content; durable.
    func set(_ name: String, _ content: [UInt8]) {
        let file = files[name] ?? File()
        file.content = content
        file.synced = content
        files[name] = file
        syncedFiles[name] = file
    }

    func delete(_ name: String) {
        files[name] = nil
        syncedFiles[name] = nil
    }

    var contents: [String: [UInt8]] { files.mapValues(\.content) }
}

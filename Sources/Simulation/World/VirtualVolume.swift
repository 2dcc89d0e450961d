import EventLoop
import Glibc
import Journal
import Primitives

/// What one process sees of its machine's disk.
///
/// Operations take their time, and are carried out at its end. When the process is killed a prefix of what is under way
/// has been carried out; whoever waits for it fails, unseen by anybody.
///
/// `@unchecked`: only touched by the world's thread.
final class VirtualVolume: Volume, @unchecked Sendable {
    private struct Batch {
        let number: UInt64
        var progress = Progress()
        let operations: [FileOperation]
        let completion: @Sendable (Result<Void, FileFailure>) -> Void
    }

    /// When each of some operations is done.
    private struct Progress {
        var ends: [Instant] = []
        var isCarriedOut = false
    }

    private struct Replacing {
        /// What is being written.
        var operations: [FileOperation]
        var completions: [@Sendable (Result<Void, SystemError>) -> Void]
        var number: UInt64
        var progress: Progress
        var next: (bytes: [UInt8], completions: [@Sendable (Result<Void, SystemError>) -> Void])?
    }

    /// Calls that wait for one file at most, as in `DiskVolume`.
    static let waiters = 4096

    private let disk: VirtualDisk
    private let process: VirtualProcess
    private var batches: [Batch] = []
    /// By name; never iterated without sorting.
    private var replacing: [String: Replacing] = [:]
    /// Of files that are being read.
    private var loads: [UInt64: @Sendable (Result<[UInt8]?, SystemError>) -> Void] = [:]
    private var lastNumber: UInt64 = 0
    private var isDetached = false

    init(_ disk: VirtualDisk, process: VirtualProcess) {
        self.disk = disk
        self.process = process
    }

    // MARK: Blocking

    func list() throws(SystemError) -> [String] { disk.files.map(\.name) }

    func read(_ name: String, upTo limit: Int) throws(SystemError) -> [UInt8]? {
        guard let bytes = disk.contents(name) else { return nil }
        guard bytes.count <= limit else { throw SystemError(operation: "read \(name)", code: EFBIG) }
        return bytes
    }

    func performNow(_ operations: [FileOperation]) throws(SystemError) {
        for operation in operations { try disk.apply(operation) }
    }

    func replaceNow(_ name: String, with bytes: [UInt8]) throws(SystemError) {
        do throws(SystemError) {
            for operation in disk.replacement(of: name, with: bytes) { try disk.apply(operation) }
        } catch {
            disk.cleanUp(after: name)
            throw error
        }
    }

    // MARK: On the loop

    func perform(
        _ operations: [FileOperation], completion: @escaping @Sendable (Result<Void, FileFailure>) -> Void
    ) {
        guard !isDetached else {
            return process.perform { completion(.failure(FileFailure(index: 0, error: Self.gone))) }
        }
        lastNumber += 1
        batches.append(Batch(number: lastNumber, operations: operations, completion: completion))
        if batches.count == 1 { begin() }
    }

    /// The first batch is carried out once its time is over.
    private func begin() {
        guard let batch = batches.first else { return }
        batches[0].progress = progress(of: batch.operations)
        // Not an event of the process: what the kernel has begun it ends, even if the process is stopped.
        process.timeline.schedule(
            .disk, for: nil, node: process.index, at: batches[0].progress.ends.last ?? process.timeline.now,
            detail: Self.digest(batch.operations)
        ) { [self] in
            guard !isDetached, batches.first?.number == batch.number else { return }
            let result = carryOut(batch.operations)
            batches[0].progress.isCarriedOut = true
            process.deliver(.disk) { [self] in
                guard !isDetached else { return }
                batches.removeFirst()
                begin()
                batch.completion(result)
            }
        }
    }

    private func progress(of operations: [FileOperation]) -> Progress {
        var at = process.timeline.now
        return Progress(
            ends: operations.map { operation in
                at = at + disk.drawLatency(operation)
                return at
            })
    }

    private func carryOut(_ operations: [FileOperation]) -> Result<Void, FileFailure> {
        for (index, operation) in operations.enumerated() {
            do throws(SystemError) { try disk.apply(operation) } catch {
                return .failure(FileFailure(index: index, error: error))
            }
        }
        return .success(())
    }

    func replace(
        _ name: String, with bytes: [UInt8], completion: @escaping @Sendable (Result<Void, SystemError>) -> Void
    ) {
        guard !isDetached else { return process.perform { completion(.failure(Self.gone)) } }
        guard var file = replacing[name] else { return write(name, bytes, [completion]) }
        var completions = file.next?.completions ?? []
        guard completions.count < Self.waiters else {
            return process.perform { completion(.failure(SystemError(operation: "write \(name)", code: EBUSY))) }
        }
        completions.append(completion)
        file.next = (bytes, completions)
        replacing[name] = file
    }

    func load(
        _ name: String, from offset: Int, count: Int,
        completion: @escaping @Sendable (Result<[UInt8]?, SystemError>) -> Void
    ) {
        guard !isDetached else { return process.perform { completion(.failure(Self.gone)) } }
        lastNumber += 1
        let number = lastNumber
        loads[number] = completion
        process.timeline.schedule(
            .disk, for: nil, node: process.index, at: process.timeline.now + disk.drawLatency(.sync(name)),
            detail: UInt64(count)
        ) { [self] in
            guard !isDetached else { return }
            let bytes = disk.contents(name).map { Array($0.dropFirst(offset).prefix(count)) }
            process.deliver(.disk) { [self] in loads.removeValue(forKey: number)?(.success(bytes)) }
        }
    }

    private func write(
        _ name: String, _ bytes: [UInt8], _ completions: [@Sendable (Result<Void, SystemError>) -> Void]
    ) {
        lastNumber += 1
        let number = lastNumber
        let operations = disk.replacement(of: name, with: bytes)
        let progress = progress(of: operations)
        replacing[name] = Replacing(
            operations: operations, completions: completions, number: number, progress: progress)
        process.timeline.schedule(
            .disk, for: nil, node: process.index, at: progress.ends.last ?? process.timeline.now,
            detail: Self.digest(operations)
        ) { [self] in
            guard !isDetached, replacing[name]?.number == number else { return }
            let result = carryOut(operations).mapError(\.error)
            if case .failure = result { disk.cleanUp(after: name) }
            replacing[name]?.progress.isCarriedOut = true
            process.deliver(.disk) { [self] in
                guard !isDetached else { return }
                let next = replacing.removeValue(forKey: name)?.next
                if let next { write(name, next.bytes, next.completions) }
                for completion in completions { completion(result) }
            }
        }
    }

    /// For the trace: which operations, how long.
    private static func digest(_ operations: [FileOperation]) -> UInt64 {
        operations.reduce(UInt64(operations.count)) { digest, operation in
            switch operation {
            case .append(_, let bytes): digest &* 31 &+ UInt64(bytes.count)
            case .truncate(_, let length): digest &* 37 &+ UInt64(length)
            case .create, .rewrite, .sync, .rename, .remove, .syncFolder: digest &* 41
            }
        } & 0xFFFF_FFFF
    }

    // MARK: The end

    private static let gone = SystemError(operation: "use the disk of a process that has died", code: ESHUTDOWN)

    /// The process has died: of what was under way a prefix was carried out.
    func detach(_ random: inout SeededGenerator) {
        guard !isDetached else { return }
        isDetached = true
        let names = replacing.keys.sorted()
        if let batch = batches.first { cutOff(batch.operations, batch.progress, &random) }
        for name in names {
            if let file = replacing[name] { cutOff(file.operations, file.progress, &random) }
        }
        for batch in batches {
            process.perform { batch.completion(.failure(FileFailure(index: 0, error: Self.gone))) }
        }
        for name in names {
            guard let file = replacing[name] else { continue }
            for completion in file.completions + (file.next?.completions ?? []) {
                process.perform { completion(.failure(Self.gone)) }
            }
        }
        for (_, completion) in loads.sorted(by: { $0.key < $1.key }) {
            process.perform { completion(.failure(Self.gone)) }
        }
        batches = []
        replacing = [:]
        loads = [:]
    }

    /// Either as much as there was time for, or anything: a disk may be done with one thing long before the next.
    private func cutOff(_ operations: [FileOperation], _ progress: Progress, _ random: inout SeededGenerator) {
        guard !progress.isCarriedOut else { return }
        let now = process.timeline.now
        let whole =
            random.chance(0.5)
            ? progress.ends.count { $0 <= now } : Int(random.next() % UInt64(operations.count + 1))
        for (index, operation) in operations.enumerated().prefix(whole + 1) {
            if index == whole { return disk.applyPart(of: operation) }
            // Nobody is left to hear of an error; what comes after one is not carried out.
            guard (try? disk.apply(operation)) != nil else { return }
        }
    }
}

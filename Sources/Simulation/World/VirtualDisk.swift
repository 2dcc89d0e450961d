import EventLoop
import Glibc
import Journal
import Primitives

/// The disk of one machine: a folder of files, of which some is durable and some is not yet. It survives its processes.
///
/// **Content.** A file is what processes see; the changes since its last sync are remembered. A loss of power keeps a
/// prefix of them, drawn from the seed; of the first that is not kept a part may be there (a torn write), as far as it
/// got or with zeros or noise where it did not.
///
/// **Names.** Creations, renames and removals since the last `syncFolder` are kept by a loss of power as a prefix (file
/// systems write names in order), or, now and then, each on its own (POSIX promises no order).
///
/// The end of a process alone loses nothing that was written: the kernel has it.
///
/// `@unchecked`: only touched by the world's thread.
package final class VirtualDisk: @unchecked Sendable {
    private enum Change {
        case append(count: Int)
        /// With what was cut.
        case truncate(tail: [UInt8])
    }

    private enum NameChange {
        case create(String, Int)
        case rename(String, String)
        case remove(String)
    }

    private struct File {
        var bytes: [UInt8] = []
        var reserved = 0
        /// Not synced, in order.
        var changes: [Change] = []
        /// A sync has failed: the kernel takes the pages for clean, and no later sync writes them.
        var isPoisoned = false

        /// How many bytes at its beginning no loss of power can take.
        var durableBytes: Int {
            var length = bytes.count
            var least = length
            for change in changes.reversed() {
                switch change {
                case .append(let count): length -= count
                case .truncate(let tail): length += tail.count
                }
                least = min(least, length)
            }
            return least
        }
    }

    /// May be changed at any time.
    package var settings: DiskSettings
    package private(set) var counters = DiskCounters()
    private var random: SeededGenerator
    /// By number; numbers are given once. Iterated only in sorted order.
    private var contents: [Int: File] = [:]
    private var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    private var nameChanges: [NameChange] = []
    private var lastFile = 0
    private var failure: (countdown: Int, code: Int32)?

    init(settings: DiskSettings, seed: UInt64) {
        self.settings = settings
        random = SeededGenerator(seed: seed)
    }

    // MARK: Faults

    /// The operation after the next `count` fails with EIO. Afterwards all is well again.
    package func failOperation(after count: Int) { failure = (count, EIO) }
    /// What was to fail and has not failed yet will not.
    package func failNoMore() { failure = nil }

    package enum Part: Sendable, CaseIterable {
        /// What is not synced yet.
        case unsynced
        /// What is durable.
        case durable
    }

    package struct Flip: Sendable, Equatable {
        package let file: String
        package let offset: Int
        package let bit: Int
    }

    /// Flips one bit, drawn among those of the file, or of all files.
    /// - Returns: where; nil if there is no such byte.
    @discardableResult
    package func flipBit(in part: Part, of name: String? = nil) -> Flip? {
        var ranges: [(name: String, range: Range<Int>)] = []
        var total = 0
        for key in names.keys.sorted() where name == nil || name == key {
            guard let file = names[key].flatMap({ contents[$0] }) else { continue }
            let durable = file.durableBytes
            let range = part == .durable ? 0..<durable : durable..<file.bytes.count
            guard !range.isEmpty else { continue }
            ranges.append((key, range))
            total += range.count
        }
        guard total > 0 else { return nil }
        var position = Int(random.next() % UInt64(total))
        let bit = Int(random.next() & 7)
        for (key, range) in ranges {
            if position < range.count, let number = names[key] {
                contents[number]?.bytes[range.lowerBound + position] ^= 1 << UInt8(bit)
                counters.flips += 1
                return Flip(file: key, offset: range.lowerBound + position, bit: bit)
            }
            position -= range.count
        }
        return nil
    }

    /// Everything is gone: an empty disk.
    package func wipe() {
        contents = [:]
        names = [:]
        durableNames = [:]
        nameChanges = []
        counters.wipes += 1
    }

    /// What was not synced is lost, or a part of it.
    func losePower() {
        losePowerOfNames()
        for number in contents.keys.sorted() { losePower(of: number) }
    }

    private func losePowerOfNames() {
        guard !nameChanges.isEmpty else { return }
        counters.unsyncedNames += nameChanges.count
        let isOrdered = random.next() & 3 != 0
        let prefix = Int(random.next() % UInt64(nameChanges.count + 1))
        names = durableNames
        for (index, change) in nameChanges.enumerated() {
            let isKept = isOrdered ? index < prefix : random.next() & 1 == 0
            guard isKept else {
                counters.lostNames += 1
                continue
            }
            switch change {
            case .create(let name, let number): names[name] = number
            case .rename(let old, let new): if let number = names.removeValue(forKey: old) { names[new] = number }
            case .remove(let name): names[name] = nil
            }
        }
        nameChanges = []
        durableNames = names
        dropNameless()
    }

    private func losePower(of number: Int) {
        guard var file = contents[number], !file.changes.isEmpty else { return }
        let kept = Int(random.next() % UInt64(file.changes.count + 1))
        counters.lostWrites += file.changes.count - kept
        for (index, change) in file.changes.enumerated().reversed() where index >= kept {
            switch change {
            case .truncate(let tail): file.bytes += tail
            case .append(let count):
                let written = Array(file.bytes.suffix(count))
                file.bytes.removeLast(count)
                if index == kept { file.bytes += torn(written) }
            }
        }
        file.changes = []
        file.isPoisoned = false
        contents[number] = file
    }

    /// What is there of a write that was under way.
    private func torn(_ written: [UInt8]) -> [UInt8] {
        let reached = Int(random.next() % UInt64(written.count + 1))
        guard reached > 0 else { return [] }
        counters.tornWrites += 1
        var part = Array(written[..<reached])
        switch random.next() & 3 {
        case 0:
            // The length was written, the data was not.
            let end = reached + Int(random.next() % UInt64(written.count - reached + 1))
            part += [UInt8](repeating: 0, count: end - reached)
        case 1:
            // Whole sectors come in any order.
            for sector in stride(from: 0, to: part.count, by: 512) where random.next() & 3 == 0 {
                for index in sector..<min(sector + 512, part.count) { part[index] = 0 }
            }
        default: break
        }
        return part
    }

    /// Files that have no name, neither now nor after a loss of power, are gone.
    private func dropNameless() {
        var named = Set(names.values).union(durableNames.values)
        for case .create(_, let number) in nameChanges { named.insert(number) }
        contents = contents.filter { named.contains($0.key) }
    }

    // MARK: What processes do

    /// What an operation takes.
    func drawLatency(_ operation: FileOperation) -> Duration {
        let base: Duration =
            switch operation {
            case .sync, .syncFolder: settings.syncLatency
            case .create, .append, .truncate, .rewrite, .rename, .remove: settings.syncLatency / 10
            }
        return base + random.exponential(settings.jitter)
    }

    func apply(_ operation: FileOperation) throws(SystemError) {
        counters.operations += 1
        if let (countdown, code) = failure {
            failure = countdown > 0 ? (countdown - 1, code) : nil
            if countdown <= 0 { try fail(operation, code) }
        }
        switch operation {
        case .create(let name, let reserving):
            guard names[name] == nil else { throw SystemError(operation: "create \(name)", code: EEXIST) }
            guard usedBytes + reserving <= settings.capacity else { throw full("create \(name)") }
            lastFile += 1
            contents[lastFile] = File(reserved: reserving)
            names[name] = lastFile
            nameChanges.append(.create(name, lastFile))
        case .append(let name, let bytes):
            let number = try number(of: name, "write")
            let length = contents[number]?.bytes.count ?? 0
            let room = max((contents[number]?.reserved ?? 0) - length, 0)
            let allowed = room + max(settings.capacity - usedBytes, 0)
            append(bytes.prefix(allowed), to: number)
            if allowed < bytes.count { throw full("write \(name)") }
        case .truncate(let name, let length):
            let number = try number(of: name, "truncate")
            guard let count = contents[number]?.bytes.count, length < count else { return }
            let tail = contents[number]?.bytes.suffix(count - length) ?? []
            contents[number]?.changes.append(.truncate(tail: Array(tail)))
            contents[number]?.bytes.removeLast(count - length)
            // What is cut gives its room back.
            contents[number]?.reserved = length
        case .rewrite(let name, let offset):
            let number = try number(of: name, "write")
            if let file = contents[number], offset <= file.durableBytes { contents[number]?.isPoisoned = false }
        case .sync(let name):
            counters.syncs += 1
            let number = try number(of: name, "sync")
            if contents[number]?.isPoisoned == false { contents[number]?.changes = [] }
        case .rename(let old, let new):
            let number = try number(of: old, "rename")
            names[old] = nil
            names[new] = number
            nameChanges.append(.rename(old, new))
        case .remove(let name):
            _ = try number(of: name, "remove")
            names[name] = nil
            nameChanges.append(.remove(name))
        case .syncFolder:
            counters.syncs += 1
            nameChanges = []
            durableNames = names
            dropNameless()
        }
    }

    private func append(_ bytes: ArraySlice<UInt8>, to number: Int) {
        guard !bytes.isEmpty else { return }
        counters.bytes += bytes.count
        contents[number]?.bytes += bytes
        contents[number]?.changes.append(.append(count: bytes.count))
    }

    private func number(of name: String, _ verb: String) throws(SystemError) -> Int {
        guard let number = names[name] else { throw SystemError(operation: "\(verb) \(name)", code: ENOENT) }
        return number
    }

    private func full(_ what: String) -> SystemError {
        counters.shortages += 1
        return SystemError(operation: what, code: ENOSPC)
    }

    /// A failed write may have written a part, a failed sync leaves pages that no sync will write.
    private func fail(_ operation: FileOperation, _ code: Int32) throws(SystemError) {
        counters.errors += 1
        switch operation {
        case .append(let name, let bytes):
            if let number = names[name] {
                append(bytes.prefix(Int(random.next() % UInt64(bytes.count + 1))), to: number)
            }
        case .sync(let name):
            if settings.failedSyncsPoison, let number = names[name] { contents[number]?.isPoisoned = true }
        case .create, .truncate, .rewrite, .rename, .remove, .syncFolder: break
        }
        throw SystemError(operation: operation.brief, code: code)
    }

    /// A process was killed in the middle of an operation: a write may have been carried out in part, the rest whole or
    /// not.
    func applyPart(of operation: FileOperation) {
        switch operation {
        case .append(let name, let bytes):
            guard let number = names[name] else { return }
            let room = max((contents[number]?.reserved ?? 0) - (contents[number]?.bytes.count ?? 0), 0)
            let allowed = min(room + max(settings.capacity - usedBytes, 0), bytes.count)
            append(bytes.prefix(Int(random.next() % UInt64(allowed + 1))), to: number)
        case .create, .truncate, .rewrite, .sync, .rename, .remove, .syncFolder:
            // An error goes to nobody: the process that would hear of it is dead.
            if random.next() & 1 == 0 { try? apply(operation) }
        }
    }

    /// A small file is replaced by way of a new one beside it, as `DurableFile` does. Removes the new one if that
    /// fails.
    func replacement(of name: String, with bytes: [UInt8]) -> [FileOperation] {
        let temporary = name + DurableFile.temporarySuffix
        var operations: [FileOperation] = []
        operations.append(names[temporary] == nil ? .create(temporary, reserving: 0) : .truncate(temporary, to: 0))
        return operations + [.append(temporary, bytes), .sync(temporary), .rename(temporary, to: name), .syncFolder]
    }

    func cleanUp(after name: String) {
        let temporary = name + DurableFile.temporarySuffix
        // That it is not there is what is wanted.
        if names[temporary] != nil { try? apply(.remove(temporary)) }
    }

    // MARK: Looking

    /// Names and lengths, ascending by name, as a process sees them.
    package var files: [(name: String, bytes: Int)] {
        names.sorted { $0.key < $1.key }.map { ($0.key, contents[$0.value]?.bytes.count ?? 0) }
    }

    package func contents(_ name: String) -> [UInt8]? { names[name].flatMap { contents[$0]?.bytes } }

    /// What of a file no loss of power can take.
    package func durableBytes(of name: String) -> Int { names[name].flatMap { contents[$0]?.durableBytes } ?? 0 }

    /// With what is reserved.
    package var usedBytes: Int { contents.values.reduce(0) { $0 + max($1.bytes.count, $1.reserved) } }
}

extension FileOperation {
    /// What it does, and to which file.
    var brief: String {
        switch self {
        case .create(let name, _): "create \(name)"
        case .append(let name, _): "write \(name)"
        case .truncate(let name, _): "truncate \(name)"
        case .rewrite(let name, _): "write \(name) again"
        case .sync(let name): "sync \(name)"
        case .rename(let name, _): "rename \(name)"
        case .remove(let name): "remove \(name)"
        case .syncFolder: "sync the folder"
        }
    }
}

package struct DiskSettings: Hashable, Sendable {
    /// Of one sync; other operations take a tenth.
    package var syncLatency = Duration.microseconds(200)
    /// Mean of what comes on top of each operation, exponentially distributed. A slow disk: 100 ms.
    package var jitter = Duration.microseconds(100)
    /// Beyond it ENOSPC. A full disk: `usedBytes`.
    package var capacity = Int.max
    /// After a failed sync the kernel takes the file's unsynced pages for written: later syncs succeed, and do not
    /// write them.
    package var failedSyncsPoison = true
    package init() {}
}

/// What a disk has done. For summaries.
package struct DiskCounters: Hashable, Sendable {
    package internal(set) var operations = 0
    package internal(set) var syncs = 0
    package internal(set) var bytes = 0
    package internal(set) var shortages = 0
    package internal(set) var errors = 0
    package internal(set) var flips = 0
    package internal(set) var wipes = 0
    /// By losses of power.
    package internal(set) var lostWrites = 0
    package internal(set) var tornWrites = 0
    package internal(set) var unsyncedNames = 0
    package internal(set) var lostNames = 0
}

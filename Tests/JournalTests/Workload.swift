import EventLoop
import Primitives
import Testing

@testable import Journal

let owner = StoreHolder(name: name("node-1"), store: StoreID(0x0123_4567_89AB_CDEF))

func name(_ text: String) -> NodeName {
    guard let name = NodeName(text) else { preconditionFailure("\(text) is no name") }
    return name
}

/// What a test found that must not be.
struct Violation: Error, CustomStringConvertible {
    let description: String
}

/// The records of tests: numbered ones, which are the history, and the parts of a snapshot's state, which is how many
/// of the numbered ones it stands for.
enum Entry: Equatable {
    case numbered(Int)
    case state(through: Int, part: Int, of: Int)

    /// Of 11 to 160 bytes, each kept, since they are compared some million times.
    private static let table: [[UInt8]] = (0..<2048).map { number in
        let head: [UInt8] = [0, UInt8(number >> 8), UInt8(number & 0xFF)]
        let length = 8 + (number &* 7919) % 150
        return head + (0..<length).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* 7) }
    }

    var bytes: [UInt8] {
        switch self {
        case .numbered(let number): return Self.table[number]
        case .state(let through, let part, let count):
            return [1, UInt8(through >> 8), UInt8(through & 0xFF), UInt8(part), UInt8(count)]
                + [UInt8](repeating: 0xA5, count: 40)
        }
    }

    init(_ bytes: [UInt8]) throws {
        guard bytes.count >= 5 else { throw Violation(description: "a record of \(bytes.count) bytes") }
        let number = Int(bytes[1]) << 8 | Int(bytes[2])
        guard number < Self.table.count else { throw Violation(description: "record \(number)") }
        self = bytes[0] == 0 ? .numbered(number) : .state(through: number, part: Int(bytes[3]), of: Int(bytes[4]))
        guard self.bytes == bytes else { throw Violation(description: "a record that was never written: \(bytes)") }
    }
}

/// What a start finds.
struct Found {
    let journal: RecoveredJournal
    /// So many numbered records are known, from the first on, without a gap.
    let numbered: Int
    let snapshots: Int

    /// Recovers `volume` as its caller would, and checks what it is told.
    init(_ volume: any Volume, owner: StoreHolder = owner) throws {
        var next = 0
        var parts = 0
        var complete = 0
        var openComplete: UInt64?
        var isFirst = true
        journal = try Journal.recover(volume, identity: owner) { item in
            defer { isFirst = false }
            switch item {
            case .snapshotBegan(let number, let isComplete):
                guard isComplete else { return }
                guard isFirst else { throw Violation(description: "history is told before a complete snapshot") }
                openComplete = number
            case .snapshotEnded(let number):
                guard openComplete == number else { throw Violation(description: "an end without a begin") }
                guard parts > 0 else { throw Violation(description: "a complete snapshot without its state") }
                openComplete = nil
                complete += 1
            case .record(let bytes, let writtenAt, _):
                guard writtenAt >= 1_700_000_000_000_000 else { throw Violation(description: "written \(writtenAt)") }
                switch try Entry(Array(bytes)) {
                case .numbered(let number):
                    if openComplete != nil, parts == 0, next == 0 { next = number }
                    guard number == next else { throw Violation(description: "\(number) follows \(next - 1)") }
                    next = number + 1
                case .state(let through, let part, let count):
                    guard openComplete != nil else { return }
                    guard part == parts, part < count else { throw Violation(description: "part \(part) of a state") }
                    parts = part + 1
                    // Numbered records that were appended after the begin mark may come before the state.
                    guard next == 0 || part > 0 || next >= through else {
                        throw Violation(description: "\(next) numbered records, but the state stands for \(through)")
                    }
                    next = max(next, through)
                }
            }
        }
        guard openComplete == nil else { throw Violation(description: "a snapshot is complete, and does not end") }
        numbered = next
        snapshots = complete
    }
}

/// What a process was told by its journal.
///
/// `@unchecked`: only used by one test, on one thread.
final class Tally: @unchecked Sendable {
    var appended: Int
    /// So many numbered records are known to be durable.
    var durable: Int
    var refused = 0
    var asked = 0
    var told = 0
    var failures: [SystemError] = []
    var events: [JournalEvent] = []
    var closed: Bool?

    init(appended: Int) {
        self.appended = appended
        durable = appended
    }
}

/// One process that uses a journal: the same seed does the same.
struct Workload {
    var policy = SyncPolicy.always
    var segmentBytes = 1024
    var turns = 24
    var seed: UInt64 = 1
    var closes = true
    var snapshotPeriod = 7
    /// Time that passes before the end.
    var patience = Duration.zero

    /// Goes on with what `found` says, until all is done or the disk has crashed.
    @discardableResult
    func run(on volume: MemoryVolume, _ scheduler: VirtualScheduler, _ found: Found) throws -> Tally {
        let tally = Tally(appended: found.numbered)
        var generator = SeededGenerator(seed: seed)
        let journal = Journal(
            found.journal, on: volume, scheduler: scheduler,
            settings: JournalSettings(sync: policy, segmentBytes: segmentBytes)
        ) { event in
            tally.events.append(event)
            if case .failed(let error) = event { tally.failures.append(error) }
        }
        var stateLeft: (through: Int, part: Int)?
        for turn in 0..<turns where !volume.isCrashed {
            for _ in 0..<Int.random(in: 1...3, using: &generator) { append(journal, tally) }
            if let (through, part) = stateLeft {
                _ = journal.append(Entry.state(through: through, part: part, of: 3).bytes)
                stateLeft = part == 2 ? nil : (through, part + 1)
                if part == 2 { journal.endSnapshot() }
            } else if turn % snapshotPeriod == 3, journal.beginSnapshot() {
                stateLeft = (tally.appended, 0)
            }
            switch UInt8.random(in: 0..<4, using: &generator) {
            case 0: break
            case 1: scheduler.advance(.milliseconds(1500))
            default: scheduler.settle()
            }
        }
        scheduler.settle()
        if patience > .zero { scheduler.advance(patience) }
        if closes {
            journal.close { tally.closed = $0 }
            scheduler.settle()
        }
        try check(volume, tally)
        return tally
    }

    private func append(_ journal: Journal, _ tally: Tally) {
        guard journal.append(Entry.numbered(tally.appended).bytes) else {
            tally.refused += 1
            return
        }
        tally.appended += 1
        tally.asked += 1
        let (number, count) = (tally.asked, tally.appended)
        journal.whenDurable { isDurable in
            tally.told += 1
            if tally.told != number { tally.events.append(.failed(SystemError(operation: "out of order", code: 0))) }
            if isDurable { tally.durable = count }
        }
    }

    private func check(_ volume: MemoryVolume, _ tally: Tally) throws {
        guard !tally.failures.contains(where: { $0.operation == "out of order" }) else {
            throw Violation(description: "completions were called in another order")
        }
        guard tally.failures.count <= 1 else { throw Violation(description: "a failure was told twice") }
        guard volume.isCrashed || !closes || tally.told == tally.asked else {
            throw Violation(description: "\(tally.asked - tally.told) completions were never called")
        }
    }
}

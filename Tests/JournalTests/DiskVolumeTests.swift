import EventLoop
import Foundation
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Journal

struct DiskVolumeTests {
    @Test func everyOperationDoesWhatItsNameSays() async throws {
        try await withFolder { folder in
            let volume = DiskVolume(folder)
            try volume.performNow([.create("a", reserving: 1 << 20), .append("a", [1, 2, 3]), .append("a", [4])])
            #expect(try volume.list() == ["a"])
            #expect(try volume.read("a", upTo: 4) == [1, 2, 3, 4])
            #expect(try volume.read("b", upTo: 4) == nil)
            try volume.performNow([
                .truncate("a", to: 2), .append("a", [5]), .sync("a"), .rename("a", to: "b"), .syncFolder,
            ])
            #expect(try volume.read("b", upTo: 10) == [1, 2, 5])
            try volume.performNow([.append("b", [6]), .remove("b")])
            #expect(try volume.list() == [])
            try volume.replaceNow("c", with: [9])
            try FileManager.default.createDirectory(atPath: folder + "/d", withIntermediateDirectories: false)
            #expect(try volume.list() == ["c"])
        }
    }

    /// A part of a file, while others write.
    @Test func partsAreRead() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let volume = DiskVolume(folder, on: loop)
                let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                try volume.performNow([.create("a", reserving: 0), .append("a", bytes)])
                func load(_ name: String, _ offset: Int, _ count: Int) async throws -> [UInt8]? {
                    let result: Result<[UInt8]?, SystemError> = await loop.wait { done in
                        volume.load(name, from: offset, count: count) { done($0) }
                    }
                    return try result.get()
                }
                for (offset, count) in [(0, 10), (1 << 18, 1 << 18), (599_999, 10), (600_000, 10), (700_000, 1)] {
                    #expect(try await load("a", offset, count) == Array(bytes.dropFirst(offset).prefix(count)))
                }
                #expect(try await load("b", 0, 1) == nil)
            }
        }
    }

    /// What is in the kernel's memory alone after a failed sync counts as clean there: only what is written again is synced.
    @Test func rewritingChangesNothingThatIsRead() async throws {
        try await withFolder { folder in
            let volume = DiskVolume(folder)
            let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            try volume.performNow([.create("a", reserving: 1 << 20), .append("a", bytes)])
            for offset in [0, 1, 1 << 18, 599_999, 600_000] {
                try volume.performNow([.rewrite("a", from: offset), .sync("a")])
                #expect(try volume.read("a", upTo: 1 << 20) == bytes, "from \(offset)")
            }
            try volume.performNow([.append("a", [7])])
            #expect(try volume.read("a", upTo: 1 << 20) == bytes + [7])
            let error = #expect(throws: SystemError.self) { try volume.performNow([.rewrite("b", from: 0)]) }
            #expect(error?.code == ENOENT)
        }
    }

    /// A folder whose owner lost its disk's name before anything was written begins anew under another one.
    @Test func aJournalThatHoldsNothingIsCleared() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let journal = try Journal.open(folder, on: loop)
                let isClosed = await loop.wait { done in journal.close { done($0) } }
                #expect(isClosed)
            }
            let volume = DiskVolume(folder)
            let other = StoreHolder(name: owner.name, store: StoreID(owner.store.rawValue + 1))
            #expect(throws: JournalRefusal.self) { try Journal.recover(volume, identity: other, item: { _ in }) }
            let recovered = try Journal.recover(volume, identity: owner, item: { _ in })
            #expect(recovered.isNew)
            #expect(!recovered.segments.isEmpty)
            try Journal.clear(volume, recovered)
            #expect(try volume.list() == [])
            #expect(try Journal.recover(volume, identity: other, item: { _ in }).isNew)
        }
    }

    @Test func whatCannotBeDoneIsAnErrorThatNamesTheFile() async throws {
        try await withFolder { folder in
            let volume = DiskVolume(folder)
            try volume.performNow([.create("a", reserving: 0), .append("a", [1, 2, 3])])
            let cases: [(FileOperation, Int32)] = [
                (.create("a", reserving: 0), EEXIST), (.append("b", [1]), ENOENT), (.truncate("b", to: 0), ENOENT),
                (.sync("b"), ENOENT), (.remove("b"), ENOENT), (.rename("b", to: "c"), ENOENT),
            ]
            for (operation, code) in cases {
                let error = #expect(throws: SystemError.self) { try volume.performNow([operation]) }
                #expect(error?.code == code, "\(operation)")
                #expect(error?.operation.contains(folder) == true)
            }
            let error = #expect(throws: SystemError.self) { try volume.read("a", upTo: 2) }
            #expect(error?.code == EFBIG)
            let missing = #expect(throws: SystemError.self) { try DiskVolume(folder + "/none").list() }
            #expect(missing?.code == ENOENT)
        }
    }

    /// The room is taken at once, and the length stays 0.
    @Test func roomIsReserved() async throws {
        try await withFolder { folder in
            try DiskVolume(folder).performNow([.create("a", reserving: 1 << 20)])
            var status = stat()
            #expect(stat(folder + "/a", &status) == 0)
            #expect(status.st_size == 0)
            #expect(status.st_blocks * 512 >= 1 << 20, "this file system reserves nothing")
        }
    }

    @Test func filesAreClosedWhenAProgramIsStartedAndFewStayOpen() async throws {
        try await withFolder { folder in
            let volume = DiskVolume(folder)
            for number in 0..<10 {
                try volume.performNow([.create("\(number)", reserving: 0), .append("\(number)", [1])])
            }
            var found = 0
            for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
                // Others close theirs meanwhile.
                guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + entry),
                    target.hasPrefix(folder), let descriptor = Int32(entry)
                else { continue }
                found += 1
                #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
            }
            #expect(found == Limits.volumeDescriptors)
            // One that was closed in between goes on at its end.
            try volume.performNow([.append("0", [2])])
            #expect(try volume.read("0", upTo: 10) == [1, 2])
        }
    }

    /// The Nth call of the system writes a part only, or is interrupted: the file is as it should be for every N.
    @Test func shortAndInterruptedWritesAreGoneOnWith() async throws {
        let pieces = [[UInt8](1...100), [UInt8](101...103), [], [UInt8](repeating: 7, count: 1000)]
        let whole = pieces.flatMap { $0 }
        try await withFolder { folder in
            for number in 1...12 {
                for part in [-1, 1, 2, 50] {
                    let count = Mutex(0)
                    var calls = SystemCalls()
                    calls.write = { descriptor, bytes, length in
                        let call = count.withLock { count in
                            count += 1
                            return count
                        }
                        // From the Nth call on: the next ones write a part as well.
                        guard call >= number, call < number + 3 else { return Glibc.write(descriptor, bytes, length) }
                        guard part > 0 else {
                            errno = EINTR
                            return -1
                        }
                        return Glibc.write(descriptor, bytes, min(part, length))
                    }
                    calls.sync = { descriptor in
                        guard
                            count.withLock({ count in
                                count += 1
                                return count % 2 == 0
                            })
                        else { return fdatasync(descriptor) }
                        errno = EINTR
                        return -1
                    }
                    let volume = DiskVolume(folder, on: nil, calls: calls)
                    try volume.performNow([.create("f", reserving: 4096)])
                    for piece in pieces { try volume.performNow([.append("f", piece), .sync("f")]) }
                    let content = try volume.read("f", upTo: 4096)
                    #expect(content == whole, "\(part) bytes at call \(number)")
                    try volume.performNow([.remove("f")])
                }
            }
        }
    }

    @Test(arguments: [EIO, ENOSPC, EDQUOT]) func anErrorLeavesWhatWasWritten(_ code: Int32) async throws {
        try await withFolder { folder in
            let count = Mutex(0)
            var calls = SystemCalls()
            calls.write = { descriptor, bytes, length in
                let isFirst = count.withLock { count in
                    count += 1
                    return count == 1
                }
                if isFirst { return Glibc.write(descriptor, bytes, length / 2) }
                errno = code
                return -1
            }
            let volume = DiskVolume(folder, on: nil, calls: calls)
            try volume.performNow([.create("f", reserving: 0)])
            let error = #expect(throws: SystemError.self) { try volume.performNow([.append("f", [1, 2, 3, 4])]) }
            #expect(error?.code == code)
            #expect(try volume.read("f", upTo: 10) == [1, 2])
        }
    }

    @Test func aFileWithoutItsRoomIsNotLeftBehind() async throws {
        try await withFolder { folder in
            var calls = SystemCalls()
            calls.reserve = { _, _ in
                errno = ENOSPC
                return -1
            }
            let volume = DiskVolume(folder, on: nil, calls: calls)
            let error = #expect(throws: SystemError.self) { try volume.performNow([.create("f", reserving: 4096)]) }
            #expect(error?.code == ENOSPC)
            #expect(try volume.list() == [])
            calls.reserve = { _, _ in
                errno = EOPNOTSUPP
                return -1
            }
            let other = DiskVolume(folder, on: nil, calls: calls)
            try other.performNow([.create("f", reserving: 4096)])
            #expect(try other.list() == ["f"])
        }
    }

    /// An attempt would take what is left from others for a moment.
    @Test func withClearlyTooLittleRoomNothingIsTried() async throws {
        try await withFolder { folder in
            var calls = SystemCalls()
            calls.reserve = { _, _ in
                Issue.record("an attempt at reserving")
                return 0
            }
            calls.room = { _ in 16 + (256 << 10) }
            let volume = DiskVolume(folder, on: nil, calls: calls)
            let error = #expect(throws: SystemError.self) {
                try volume.performNow([.create("f", reserving: 256 << 10)])
            }
            #expect(error?.code == ENOSPC)
            #expect(try volume.list() == [])
            calls.reserve = { DurableFile.reserve($0, for: $1) }
            for room in [nil, (16 + 1) << 14] {
                calls.room = { _ in room }
                let other = DiskVolume(folder, on: nil, calls: calls)
                try other.performNow([.create("f", reserving: 256 << 10), .remove("f")])
            }
        }
    }

    // MARK: - On the loop

    @Test func callsFollowEachOtherAndStopAtTheFirstError() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let volume = DiskVolume(folder, on: loop)
                let told = Mutex<[Int]>([])
                let last: Result<Void, FileFailure> = await loop.wait { done in
                    volume.perform([.create("f", reserving: 0)]) { _ in told.withLock { $0.append(0) } }
                    for number in 1...50 {
                        volume.perform([.append("f", [UInt8(number)])]) { result in
                            if case .success = result, loop.isCurrent { told.withLock { $0.append(number) } }
                        }
                    }
                    volume.perform([.append("f", [51]), .append("none", [1]), .append("f", [52])], completion: done)
                    #expect(told.withLock { $0 } == [])
                }
                #expect(told.withLock { $0 } == Array(0...50))
                guard case .failure(let failure) = last else {
                    Issue.record("\(last)")
                    return
                }
                #expect(failure.index == 1 && failure.error.code == ENOENT)
                let content = try volume.read("f", upTo: 100)
                #expect(content == Array(1...51))
                let replaced: Result<Void, SystemError> = await loop.wait {
                    volume.replace("g", with: [1], completion: $0)
                }
                #expect(throws: Never.self) { try replaced.get() }
                let names = try volume.list()
                #expect(names == ["f", "g"])
            }
        }
    }

    @Test func waitingCallsAreBounded() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let volume = DiskVolume(folder, on: loop)
                let codes = Mutex<[Int32]>([])
                let count: Int = await loop.wait { done in
                    for _ in 0..<Limits.volumeCalls + 2 {
                        volume.perform([]) { result in
                            let count = codes.withLock { codes in
                                if case .failure(let failure) = result {
                                    codes.append(failure.error.code)
                                } else {
                                    codes.append(0)
                                }
                                return codes.count
                            }
                            if count == Limits.volumeCalls + 2 { done(count) }
                        }
                    }
                }
                #expect(count == Limits.volumeCalls + 2)
                #expect(codes.withLock { $0.filter { $0 == EBUSY }.count } == 1)
            }
        }
    }

    /// A second process, so to say: what 64 writers appended is there, in groups.
    @Test(arguments: policies) func aJournalOnADisk(_ policy: SyncPolicy) async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let journal = try Journal.open(folder, on: loop, JournalSettings(sync: policy, segmentBytes: 65_536))
                let isDurable: Bool = await loop.wait { done in
                    for number in 0..<2000 { _ = journal.append(Entry.numbered(number).bytes) }
                    journal.whenDurable(done)
                }
                #expect(isDurable)
                let isClosed: Bool = await loop.wait { journal.close($0) }
                #expect(isClosed)
            }
            let records = try Journal.records(folder)
            #expect(records == (0..<2000).map { Entry.numbered($0).bytes })
            #expect(try DiskVolume(folder).list().filter { $0.hasPrefix("journal-") }.count > 1)
        }
    }

    /// The Nth call of the system fails, for every N: nothing that was durable is missing, and nothing is out of order.
    @Test(arguments: [EIO, ENOSPC]) func anErrorAtEveryCallOfTheSystem(_ code: Int32) async throws {
        for number in 1...24 {
            try await withFolder { folder in
                let durable = Mutex(0)
                try await withLoop { loop in
                    let journal = try Journal.open(
                        folder, on: loop, JournalSettings(segmentBytes: 1024), calls: .failing(at: number, with: code))
                    for turn in 0..<8 {
                        // With ENOSPC the journal tries again after a second; this test does not wait for that.
                        await loop.run {
                            _ = journal.append(Entry.numbered(turn).bytes)
                            journal.whenDurable { isDurable in if isDurable { durable.withLock { $0 = turn + 1 } } }
                        }
                    }
                    let _: Bool = await loop.wait { journal.close($0) }
                }
                let records = try Journal.records(folder)
                #expect(records == (0..<records.count).map { Entry.numbered($0).bytes }, "call \(number)")
                #expect(records.count >= durable.withLock { $0 }, "call \(number)")
            }
        }
    }
}

extension SystemCalls {
    /// Of all calls the one of that number fails; a write keeps a part.
    static func failing(at number: Int, with code: Int32) -> SystemCalls {
        let count = Counter()
        var calls = SystemCalls()
        calls.write = { descriptor, bytes, length in
            guard count.next() == number else { return Glibc.write(descriptor, bytes, length) }
            _ = Glibc.write(descriptor, bytes, length / 2)
            errno = code
            return -1
        }
        calls.sync = { descriptor in
            guard count.next() == number else { return fdatasync(descriptor) }
            errno = code
            return -1
        }
        calls.reserve = { room, descriptor in
            guard count.next() == number else { return DurableFile.reserve(room, for: descriptor) }
            errno = code
            return -1
        }
        return calls
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        func next() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
    }
}

extension EventLoop {
    func run(_ body: @escaping @Sendable () -> Void) async {
        let _: Bool = await wait { done in
            body()
            done(true)
        }
    }
}

import EventLoop
import Foundation
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Journal

/// A file system of 1 MiB in memory that fills up.
struct SmallDiskTests {
    private static func run(_ program: String, _ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }  // No such program: as if it had refused.
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    private static func mount(_ folder: String) -> Bool {
        run("/bin/mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder])
    }

    /// Whether this process may mount.
    static let canMount: Bool = {
        let folder = NSTemporaryDirectory() + "apus-mount-\(UUID().uuidString)"
        guard mkdir(folder, 0o700) == 0 else { return false }
        defer { rmdir(folder) }
        return mount(folder) && run("/bin/umount", [folder])
    }()

    @Test(
        .enabled(if: canMount, "a file system in memory can be mounted only with the right to"), .timeLimit(.minutes(2))
    )
    func aDiskThatIsReallyFull() async throws {
        try await withFolder { parent in
            let folder = parent + "/disk"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            try #require(Self.mount(folder))
            defer { _ = Self.run("/bin/umount", [folder]) }
            let events = Mutex<[Bool]>([])
            let durable = Mutex(0)
            var appended = 0
            try await withLoop { loop in
                let journal = try Journal.open(folder, on: loop, JournalSettings(segmentBytes: 256 << 10)) { event in
                    switch event {
                    case .full: events.withLock { $0.append(true) }
                    case .hasRoom: events.withLock { $0.append(false) }
                    case .failed, .snapshotEnded: break
                    }
                }
                /// Appends 10 KiB and waits until it is durable, or the journal has no room for it.
                func append() async -> Bool {
                    appended += 1
                    return await loop.wait { done in
                        guard journal.append([UInt8](repeating: 1, count: 10_240)) else { return done(false) }
                        journal.whenDurable { isDurable in if isDurable { durable.withLock { $0 += 1 } } }
                        let answered = Mutex(false)
                        journal.whenDurable { isDurable in
                            if answered.withLock({ answered in
                                defer { answered = true }
                                return !answered
                            }) {
                                done(isDurable)
                            }
                        }
                        // Not durable soon: there is no room.
                        _ = loop.schedule(after: .milliseconds(300)) {
                            if answered.withLock({ answered in
                                defer { answered = true }
                                return !answered
                            }) {
                                done(false)
                            }
                        }
                    }
                }
                while await append() { if appended > 200 { break } }
                #expect(appended < 110, "1 MiB holds no more")
                let isFull: Bool = await loop.wait { $0(journal.isFull) }
                #expect(isFull)
                #expect(events.withLock { $0.first } == true)
                // What was told to be durable is there, although the disk is full to the last byte.
                let records = try Journal.recordsWithoutSettling(folder)
                #expect(records == durable.withLock { $0 } && records == appended - 1)

                // Room comes back: a larger disk.
                #expect(Self.run("/bin/mount", ["-o", "remount,size=8m", folder]))
                let isDurable: Bool = await loop.wait { journal.whenDurable($0) }
                #expect(isDurable)
                let isFullAfter: Bool = await loop.wait { $0(journal.isFull) }
                #expect(!isFullAfter)
                #expect(await append())
                let isClosed: Bool = await loop.wait { journal.close($0) }
                #expect(isClosed)
            }
            #expect(try Journal.records(folder).count == appended)
        }
    }
}

extension Journal {
    /// Records wait, and nothing is under way that would write them.
    var isWaitingForRoom: Bool { isFull && !queue.isEmpty && !isBusy && !isFlushDue }

    /// Counts the records of a folder in which a journal is at work, and changes nothing.
    static func recordsWithoutSettling(_ folder: String) throws -> Int {
        let inspection = try JournalInspection(DiskVolume(folder))
        if let refusal = inspection.refusal { throw refusal }
        return inspection.segments.reduce(0) { $0 + $1.records }
    }
}

import EventLoop
import Foundation
import Journal
import Testing

@testable import Command

/// `journal inspect` and `journal repair`: which folders they take, and which not.
struct JournalVerbTests {
    /// A data folder as a node leaves it, with a segment that is no journal.
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try TemporaryFolder()
        let identity = "apus 1\nname node-2\ncluster local\ndisk 00000000000000aa\nstore 00000000000000bb\n"
        try identity.write(toFile: folder.path + "/node", atomically: true, encoding: .utf8)
        try withExtendedLifetime(folder) { try body(folder.path) }
    }

    private func failure(_ path: String) -> String {
        do {
            _ = try JournalFolder(path)
            return ""
        } catch let failure as CommandFailure {
            return failure.message
        } catch {
            return "\(type(of: error)): \(error)"
        }
    }

    @Test func aFolderIsTakenWithItsOwner() throws {
        try withFolder { path in
            let folder = try JournalFolder(path)
            #expect(folder.owner.name.rawValue == "node-2")
            #expect(folder.owner.store.rawValue == 0xBB)
            #expect(try folder.inspect().segments.isEmpty)
            folder.lock.release()
        }
    }

    @Test func aNodeThatRunsKeepsItsJournal() throws {
        try withFolder { path in
            let lock = try DirectoryLock(path)
            #expect(failure(path) == "\(path) is in use by process \(getpid()): stop that node first")
            lock.release()
            #expect(failure(path) == "")
        }
    }

    @Test func anotherFolderIsLeftAsItIs() throws {
        let folder = try TemporaryFolder()
        #expect(failure(folder.path).contains("is not the data folder of a node"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty, "not even a lock is left")
        try "something else".write(toFile: folder.path + "/node", atomically: true, encoding: .utf8)
        #expect(failure(folder.path).contains("is not one of Apus"))
        #expect(failure(folder.path + "/none").contains("none"))
    }

    @Test func onlyWhoSaysYesMovesAJournal() throws {
        try withFolder { path in
            let segment = "journal-0000000000000001"
            try Data(repeating: 7, count: 4096).write(to: URL(filePath: path + "/" + segment))
            #expect(throws: (any Error).self) { try JournalVerb.Repair.parse([path]).run() }
            #expect(FileManager.default.fileExists(atPath: path + "/" + segment))
            #expect(throws: (any Error).self) { try JournalVerb.Inspect.parse([path]).run() }

            try JournalVerb.Repair.parse([path, "--yes"]).run()
            let left = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
            #expect(left.count == 3 && left[0].hasPrefix("damaged-") && left[1...] == ["lock", "node"], "\(left)")
            let aside = try FileManager.default.contentsOfDirectory(atPath: path + "/" + left[0])
            #expect(aside == [segment])
            try JournalVerb.Inspect.parse([path]).run()
        }
    }
}

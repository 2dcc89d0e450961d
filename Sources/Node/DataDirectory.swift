import EventLoop
import Foundation
import Primitives
import Views
import Wire

/// The folder of what must survive a restart, locked for as long as the node runs.
///
/// | file | what |
/// | --- | --- |
/// | `lock` | held by the process that uses the folder |
/// | `disk` | 16 hexadecimal digits, drawn when the folder was made: who votes is identified by it |
/// | `view` | the voter's record: generation, last view, promise, accepted view; checksummed |
/// | `closed` | ledgers that a process still served when it ended in order, and how many of their tasks were open then |
///
/// Ledgers are in memory: by `closed` a cluster that was stopped as a whole knows what that cost it.
///
/// A folder without `disk` is a new one. One with `disk` whose `view` is missing or damaged is refused: a voter that has
/// forgotten its promises must not vote under the same identity.
struct DataDirectory: Sendable {
    let path: String
    let disk: StoreID
    let record: VoterRecord
    let closed: [PeerStatus.Ledger]
    private let lock: DirectoryLock

    var viewPath: String { path + "/view" }

    /// Opens the folder, makes it if need be, and writes down the generation of this start.
    init(_ path: String, millisecondsSince1970: UInt64) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        lock = try DirectoryLock(path)
        self.path = path
        let diskPath = path + "/disk"
        let viewPath = path + "/view"
        var record: VoterRecord
        if let text = try DurableFile.read(diskPath, upTo: 64) {
            guard let value = UInt64(String(decoding: text, as: UTF8.self).trimmingCharacters(in: .newlines), radix: 16)
            else {
                throw DataDirectoryError(path: diskPath, problem: "it does not hold 16 hexadecimal digits")
            }
            disk = StoreID(value)
            guard let bytes = try DurableFile.read(viewPath, upTo: Limits.frameBytes) else {
                throw DataDirectoryError(
                    path: viewPath, problem: "it is missing, though the folder has been used before")
            }
            record = try VoterRecord(fileBytes: bytes)
        } else {
            disk = StoreID(UInt64.random(in: 1...UInt64.max))
            record = VoterRecord(generation: Generation(0))
        }
        record.generation = record.nextGeneration(millisecondsSince1970: millisecondsSince1970)
        // First the record, then the identity that vouches for it.
        try DurableFile.replace(viewPath, with: record.fileBytes())
        if try DurableFile.read(diskPath, upTo: 64) == nil {
            try DurableFile.replace(diskPath, with: Array((disk.description + "\n").utf8))
        }
        self.record = record
        closed = try Self.readClosed(path)
    }

    private var closedPath: String { path + "/closed" }

    /// What earlier processes wrote that ended in order. A line a ledger: its number, a blank, its open tasks.
    private static func readClosed(_ path: String) throws -> [PeerStatus.Ledger] {
        let path = path + "/closed"
        guard let bytes = try DurableFile.read(path, upTo: 1 << 20) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            guard numbers.count == 2, let id = UInt32(exactly: numbers[0]) else { return nil }
            return PeerStatus.Ledger(id: LedgerID(id), open: numbers[1])
        }.suffix(Limits.lostLedgers)
    }

    func close(_ ledgers: [PeerStatus.Ledger]) throws {
        // Numbers of ledgers are given once: the lines of earlier processes stay true.
        let text = (closed + ledgers).suffix(Limits.lostLedgers).map { "\($0.id.rawValue) \($0.open)\n" }.joined()
        try DurableFile.replace(closedPath, with: Array(text.utf8))
    }

    func release() { lock.release() }
}

/// A data folder that cannot be used as it is.
struct DataDirectoryError: Error, CustomStringConvertible {
    let path: String
    let problem: String

    var description: String {
        "\(path): \(problem). Restore it, or remove the whole folder: the node then joins as a new one."
    }
}

import ArgumentParser
import EventLoop
import Foundation
import Journal
import Node
import Primitives

struct JournalVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal",
        abstract: "Looks into the journal of a node that does not run, or sets a damaged one aside.",
        subcommands: [Inspect.self, Repair.self])

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads and checks every byte of a journal, and changes nothing.",
            discussion: "Exit code: 0 if a start would go on with it, else 1.")

        @OptionGroup var target: JournalTarget

        func run() throws {
            let folder = try target.open()
            defer { folder.lock.release() }
            let inspection = try folder.inspect()
            say(inspection.text, terminator: "")
            if inspection.refusal != nil { throw ExitCode(1) }
        }
    }

    struct Repair: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sets a journal aside, so that its node starts empty and is refilled by its peers.",
            discussion: """
                Removes nothing. Without --yes it only says what it would do and what that means, and ends with exit code 1.
                """)

        @OptionGroup var target: JournalTarget

        @Flag(help: "Does it.")
        var yes = false

        func run() throws {
            let folder = try target.open()
            defer { folder.lock.release() }
            let inspection = try folder.inspect()
            say(inspection.text)
            guard !inspection.segments.isEmpty else { return say("There is nothing to set aside.") }
            guard yes else {
                say(explanation(folder, isIntact: inspection.refusal == nil))
                throw ExitCode(1)
            }
            let now = Timestamp(milliseconds: Int64(Date.now.timeIntervalSince1970 * 1000))
            // The file `node` stays: a node that has been a member and finds no journal draws a new store id by itself.
            let aside = try folder.volume.moveJournalAside(others: [], at: now)
            say("Moved \(aside.files.count) files into \(folder.path)/\(aside.folder).")
            say("Start \(folder.owner.name) again: it comes back without copies, and its peers give it new ones.")
        }

        private func explanation(_ folder: JournalFolder, isIntact: Bool) -> String {
            let name = folder.owner.name
            let intact =
                isIntact
                ? """
                A start would go on with this journal: as far as its checksums tell, nothing is wrong with it. Set it aside
                only if \(name) refuses to start with it all the same.

                """ : ""
            return intact + """
                Repairing moves it into \(folder.path)/damaged-TIME and removes nothing. Then
                - \(name) starts as if its disk were new: it keeps its name and its vote, and holds no copy of any task;
                - its peers give it copies again, by themselves;
                - tasks of which no other node has a copy are lost, and `apus status` says so. That is the case where
                  there was no second node when they were taken, or the disk of the other one is lost, too.
                So let the other nodes run, wait until `apus status` shows them alive, and say it again with --yes.
                """
        }
    }
}

/// Whose journal: a data folder, or the number of a local node.
struct JournalTarget: ParsableArguments {
    @Argument(
        help: ArgumentHelp("The data folder of a node, or the number of a local one: 2 for node-2.", valueName: "node"))
    var node: String

    /// Takes the folder, so that no node starts on it meanwhile.
    func open() throws -> JournalFolder {
        let path: String
        if let index = Int(node) {
            let home = ClusterHome()
            path = home.data(try home.require(index, in: home.require()))
        } else {
            path = node
        }
        return try JournalFolder(path)
    }
}

/// A node's data folder, held so that the node cannot run.
struct JournalFolder {
    let path: String
    let lock: DirectoryLock
    let volume: DiskVolume
    let owner: StoreHolder

    init(_ path: String) throws {
        self.path = path
        volume = DiskVolume(path)
        do {
            // Before the lock, which leaves a file behind: a mistyped folder is left as it is.
            guard let owner = try StoredNode.owner(of: volume) else {
                throw CommandFailure("\(path) is not the data folder of a node: there is no file `node` in it")
            }
            self.owner = owner
            lock = try DirectoryLock(path)
        } catch let conflict as DirectoryLock.Conflict {
            let process = conflict.holder.map { "process \($0)" } ?? "another process"
            throw CommandFailure("\(path) is in use by \(process): stop that node first")
        } catch let error as SystemError {
            throw CommandFailure(error.description)
        } catch let error as StoredNodeError {
            throw CommandFailure("\(path): \(error)")
        }
    }

    func inspect() throws -> JournalInspection {
        do throws(SystemError) {
            return try JournalInspection(volume, expected: owner)
        } catch {
            throw CommandFailure("the journal in \(path) cannot be read: \(error)")
        }
    }
}

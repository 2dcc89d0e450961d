public import EventLoop
import Glibc
public import Primitives

extension DiskVolume {
    /// Moves every segment of the journal, and `others`, into a new folder `damaged-<time>` beside them, durably, and
    /// removes nothing: what `apus journal repair` does.
    ///
    /// The node then starts with an empty journal. What it held and acknowledged is no longer there, so it must not be
    /// taken for the holder that a view lists: it needs a **new store id** (name the file that keeps it in `others`).
    /// It then is as a node with a new disk: it does not count as a copy until a view lists its new store, and is
    /// refilled by its peers. What no peer holds is lost, unless it is read from the folder.
    ///
    /// A journal must not be moved in half: if this throws, call it again; it goes on with a new folder, and both
    /// belong together.
    /// - Parameters:
    ///   - others: names of files that go with it; those that are not there are passed over.
    ///   - time: for the folder's name.
    /// - Returns: the folder's name, and what was moved into it.
    public func moveJournalAside(
        others: [String] = [], at time: Timestamp
    ) throws(SystemError) -> (folder: String, files: [String]) {
        let present = try list()
        let segments = present.filter { SegmentName.number($0) != nil }
        let aside = try makeFolder("damaged-" + WallTime(UInt64(max(0, time.milliseconds)) * 1000).compact)
        // The store id first, then the oldest segment: what is left after an interruption belongs to another store, or
        // lacks its begin, and is refused. It is never taken for whole.
        let moved = others.filter(present.contains)
        try move(moved, to: aside)
        try move(segments, to: aside)
        return (aside, moved + segments)
    }

    private func move(_ names: [String], to aside: String) throws(SystemError) {
        for name in names {
            try DurableFile.call("move \(folder)/\(name) to \(aside)") {
                rename(folder + "/" + name, folder + "/" + aside + "/" + name)
            }
        }
        try DurableFile.sync(directory: folder + "/" + aside)
        try DurableFile.sync(directory: folder)
    }

    private func makeFolder(_ name: String) throws(SystemError) -> String {
        var attempt = 1
        while true {
            let candidate = attempt == 1 ? name : "\(name)-\(attempt)"
            if mkdir(folder + "/" + candidate, 0o700) == 0 { return candidate }
            let code = errno
            guard code == EEXIST, attempt < 100 else {
                throw SystemError(operation: "create \(folder)/\(candidate)", code: code)
            }
            attempt += 1
        }
    }
}

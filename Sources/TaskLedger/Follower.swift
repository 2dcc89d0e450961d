public import Primitives

/// A replica as its primary sees it: what was sent to it and what it has acknowledged.
///
/// `locating` -> `streaming` once it says where it is; `streaming` or `locating` -> `copying` if its history is not a
/// beginning of the primary's; back to `locating` whenever the link breaks. One request is under way while locating;
/// later up to `Limits.replicationWindow`.
struct Follower: Sendable {
    enum Progress: Sendable {
        /// Its place is not known. `isAsked`: a request is under way.
        case locating(isAsked: Bool)
        /// Everything up to `sent` is on its way.
        case streaming(sent: Place)
        /// Its ledger is being replaced: tasks from `next` on are still to be sent, and entries after `sent`.
        case copying(ids: [TaskID], next: Int, sent: Place)
    }

    let holder: StoreHolder
    /// Listed by the view; else a learner.
    var isBackup: Bool
    var progress = Progress.locating(isAsked: false)
    /// It holds everything up to this sequence number, in the current term.
    var acknowledged: UInt64 = 0
    var requestsUnderWay = 0
    /// Requests of earlier links are answered no more: a reply names the epoch of its request.
    var epoch: UInt32 = 0
    /// Since when its link is down, or it does not acknowledge what it was sent.
    var troubledSince: Instant?
    /// Its primary has told the voters that it is no good.
    var isReported = false

    mutating func restart() {
        epoch &+= 1
        requestsUnderWay = 0
        progress = .locating(isAsked: false)
    }
}

extension Limits {
    /// Append and copy requests under way to one replica.
    public static let replicationWindow = 8
}

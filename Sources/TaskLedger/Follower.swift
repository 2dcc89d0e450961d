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
        /// Its ledger is being replaced: what follows `next` in `content` is still to be sent, and entries after `sent`.
        case copying(Content, next: Int, sent: Place)
    }

    /// What a whole copy is made of, in the order in which it is sent: tasks, then keys.
    struct Content: Sendable {
        let ids: [TaskID]
        let keys: [KeyName]

        init(of state: LedgerState) {
            ids = state.sortedIDs
            keys = state.keys.sortedNames
        }

        var count: Int { ids.count + keys.count }
    }

    let holder: StoreHolder
    /// Listed by the view; else a learner.
    var isBackup: Bool
    var progress = Progress.locating(isAsked: false)
    /// Of the copy that is sent to it, if any.
    var copyNumber: UInt64 = 0
    /// It holds everything up to this sequence number, in the current term.
    var acknowledged: UInt64 = 0
    var requestsUnderWay = 0
    /// Requests of earlier links are answered no more: a reply names the epoch of its request.
    var epoch: UInt32 = 0
    /// Since when its link is down, or it does not acknowledge what it was sent.
    var troubledSince: Instant?
    /// Since when requests are under way and none was answered, and how often that was looked at since.
    var silence: (since: Instant, looks: Int)?
    /// Its primary has told the voters that it is no good.
    var isReported = false

    /// Whether it has kept requests waiting for longer than `patience`. A process that was stopped finds old requests, and the
    /// answers to them right afterwards: so it has to have looked several times.
    mutating func isSilent(at now: Instant, longerThan patience: Duration) -> Bool {
        guard requestsUnderWay > 0 else {
            silence = nil
            return false
        }
        silence = (silence?.since ?? now, (silence?.looks ?? 0) + 1)
        return silence.map { now - $0.since > patience && $0.looks > 3 } ?? false
    }

    mutating func restart() {
        epoch &+= 1
        silence = nil
        requestsUnderWay = 0
        progress = .locating(isAsked: false)
    }
}

extension Limits {
    /// Append and copy requests under way to one replica.
    public static let replicationWindow = 8
}

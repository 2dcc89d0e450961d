public import EventLoop
import Primitives

/// The durable memory of a node: records in the order in which they were appended, in segments on a volume.
///
/// **Group commit.** What is appended gathers in a group; one group at a time is written (and synced, with the policy
/// `always`); all that came meanwhile is the next one. A group takes what was appended in one turn of the loop, or
/// while another was on its way, up to `Limits.journalGroupBytes`.
///
/// **One step at a time.** The journal does one of these, waits until the volume is done, and chooses again, in this
/// order of preference:
/// 1. *cut* what was written of a group that did not fit;
/// 2. *remove* one superseded segment (between groups, not before each);
/// 3. *prepare* the next segment: create it with its room reserved, write its header, sync it and the folder;
/// 4. *rotate*, if the group that is next needs a new segment: sync the present one, go on in the prepared one;
/// 5. write the next *group*;
/// 6. *sync*, if the policy's interval is over;
/// 7. *close*, if asked to.
///
/// **Errors.** ENOSPC and EDQUOT: see below. Any other error of any step stops the journal for ever: after a failed
/// sync nobody knows what the disk holds, and a second one may succeed without having written it (Rebello et al., "Can
/// Applications Recover from fsync Failures?", ATC'20). All that wait are told so, the observer is told once, and the
/// process should end. A sync that fails for lack of room is survived if all that was not synced is the group in
/// memory, which is cut and written anew.
///
/// **Disk full.** The next segment is prepared when the present one is half full. When there is no room for it,
/// `isFull` becomes true while about half a segment is still reserved: enough for the outcomes of running work, if
/// nothing new is taken. If that is used up as well, a group fails in part: it is cut off and stays in memory, nothing
/// is acknowledged, appending goes on until the buffer is full. Every second all is tried again, and goes on by itself.
///
/// **Snapshots** keep the disk in proportion to what lives: see `beginSnapshot`, `wantsSnapshot` and `JournalCheck`.
///
/// What is on the disk is specified by `SegmentHeader`, `GroupCodec` and `JournalCheck`.
///
/// All functions only on the loop, where callbacks arrive, never from within a call of this type. `@unchecked`: after
/// `init` only touched there.
public final class Journal: @unchecked Sendable {
    /// Whether it is durable.
    public typealias Completion = @Sendable (Bool) -> Void

    /// Between two attempts when there is no room.
    static let retryDelay = Duration.seconds(1)
    /// After this time without a group, the last one is named: see `JournalCheck`.
    static let quietTime = Duration.seconds(1)

    let volume: any Volume
    let scheduler: any Scheduler
    let settings: JournalSettings
    let observe: @Sendable (JournalEvent) -> Void

    var disk: DiskState
    /// The first is being written if `isFirstSealed`.
    var queue: [PendingGroup] = []
    var isFirstSealed = false
    var bufferedBytes = 0
    var waiters = 0

    var isBusy = false
    var isFlushDue = false
    var wasRemoval = false
    var waits: Waits = []
    var retryTimer: (any ScheduledAction)?
    var syncTimer: (any ScheduledAction)?
    var isSyncDue = false
    var quietTimer: (any ScheduledAction)?

    var snapshots: SnapshotState
    var shortage = Shortage()
    var counters = Counters()
    var failure: SystemError?
    var life = Life.open
    var closeCompletions: [Completion] = []

    enum Life {
        case open
        /// Everything that waits is still written.
        case closing
        case closed
    }

    /// What is not tried before the next retry.
    struct Waits: OptionSet {
        let rawValue: UInt8
        static let write = Waits(rawValue: 1)
        static let reserve = Waits(rawValue: 2)
        static let remove = Waits(rawValue: 4)
    }

    /// Opens what `recover` returned, and soon makes sure of the next segment's room. Before the loop runs, or on it.
    /// - Parameters:
    ///   - volume: the one that was recovered.
    ///   - observe: see `JournalEvent`; called on the loop, never from within a call.
    public init(
        _ recovered: RecoveredJournal, on volume: any Volume, scheduler: any Scheduler, settings: JournalSettings,
        observe: @escaping @Sendable (JournalEvent) -> Void
    ) {
        precondition(Limits.journalSegmentBytes.contains(settings.segmentBytes), "A segment's size is out of range.")
        if case .interval(let interval) = settings.sync { precondition(interval > .zero, "An interval is positive.") }
        self.volume = volume
        self.scheduler = scheduler
        self.settings = settings
        self.observe = observe
        disk = DiskState(recovered)
        snapshots = SnapshotState(recovered)
        flushSoon()
    }

    // MARK: - Records

    /// Takes one record over, to be written with what else is appended in this turn of the loop, or while the group
    /// before it is on its way. Order is kept.
    /// - Parameter record: up to `Limits.journalRecordBytes`; a longer one traps.
    /// - Returns: false if it was not taken, and never will be part of the journal: the buffer is at its limit (see
    ///   `canAppend`), or the journal has failed or is closed.
    public func append(_ record: [UInt8]) -> Bool {
        precondition(record.count <= Limits.journalRecordBytes, "A record of \(record.count) bytes is too long.")
        guard canAppend(bytes: record.count) else { return false }
        let isOpenGroup = queue.count > (isFirstSealed ? 1 : 0) && queue[queue.count - 1].takes(record)
        if !isOpenGroup { enqueue(PendingGroup(.records)) }
        let index = queue.count - 1
        bufferedBytes -= queue[index].bytes.count
        queue[index].append(record)
        bufferedBytes += queue[index].bytes.count
        flushSoon()
        return true
    }

    /// Whether `append` would take that many records with together that many bytes now. Ask before changing what the
    /// records describe.
    public func canAppend(bytes: Int, records: Int = 1) -> Bool {
        let frames = records * (GroupCodec.headerBytes + GroupCodec.recordHeaderBytes)
        return failure == nil && life == .open && bufferedBytes + bytes + frames <= Limits.journalBufferBytes
    }

    /// `completion` is called once, on the loop, never from within this call: with true as soon as everything appended
    /// so far is durable as the policy says; with false if that will never be: the journal failed, or was closed before
    /// it could be written. Completions are called in the order of the calls.
    public func whenDurable(_ completion: @escaping Completion) {
        if failure != nil || life == .closed {
            scheduler.execute { completion(false) }
        } else if queue.isEmpty {
            scheduler.execute { completion(true) }
        } else {
            queue[queue.count - 1].completions.append(completion)
            waiters += 1
        }
    }

    /// More than a half of `Limits.journalBufferBytes` waits, or `Limits.journalWaiters` completions do: whoever makes
    /// new work should be refused until it is false.
    public var isCongested: Bool {
        bufferedBytes > Limits.journalBufferBytes / 2 || waiters >= Limits.journalWaiters
    }

    /// There is no room to be reserved for the next segment, or none for the next group. As long as it is true refuse
    /// new work: at first about half a segment is left for the outcomes of work that is running. Tried again every
    /// second.
    public var isFull: Bool { shortage.isFull }

    // MARK: - The rest

    public var status: JournalStatus {
        JournalStatus(
            durable: disk.durable, written: disk.end, bytesOnDisk: disk.bytes,
            segments: disk.segments.count + disk.obsolete.count, bufferedBytes: bufferedBytes, roomLeft: roomLeft,
            bytesWritten: counters.bytes, groups: counters.groups, records: counters.records, syncs: counters.syncs,
            snapshots: counters.snapshots, shortages: counters.shortages, lastSync: counters.lastSync,
            worstSync: counters.worstSync, isFull: isFull, isSnapshotOpen: isSnapshotOpen, failure: failure)
    }

    /// Bytes that are sure to fit, since their room is reserved.
    public var roomLeft: Int {
        let present = disk.isReserved ? settings.segmentBytes - (disk.present?.bytes ?? settings.segmentBytes) : 0
        let next = disk.prepared == nil ? 0 : settings.segmentBytes - SegmentHeader.bytes
        return max(0, max(0, present) + next - bufferedBytes)
    }

    /// Writes and syncs what was appended, then closes; what is appended later is refused. `completion` is called once,
    /// on the loop, never from within this call: with true if all is durable, with false if the journal failed or there
    /// is no room.
    public func close(_ completion: @escaping Completion) {
        guard failure == nil, life != .closed else {
            let isDurable = failure == nil && queue.isEmpty
            return scheduler.execute { completion(isDurable) }
        }
        closeCompletions.append(completion)
        life = .closing
        waits = []  // A last attempt.
        flushSoon()
    }
}

#if PLANTED_BUGS
/// Bugs that the simulator must find: its checkers are tested by them. Only a build with `-D PLANTED_BUGS` has them, which
/// only `scripts/simulate --mutants` makes; each is an `if` around a line that does the wrong thing.
package enum PlantedBug: String, CaseIterable, Sendable {
    // TaskLedger: replication

    /// An entry counts as committed when it is on the primary's disk, whatever the backups have.
    case ackBeforeBackup = "ack-before-backup"
    /// An entry counts as committed when the backups have it, whatever is on the primary's disk.
    case ackBeforeOwnDisk = "ack-before-own-disk"
    /// One backup's acknowledgement is enough, however many the view lists.
    case oneBackupIsEnough = "one-backup-is-enough"
    /// A primary goes on without a backup that does not answer, though no view has removed it.
    case backupDroppedWithoutView = "backup-dropped-without-view"
    /// The voters are asked to list a learner that has not caught up.
    case learnerListedEarly = "learner-listed-early"
    /// What is written while the voters are asked to list a learner is committed without it.
    case learnerNotAwaited = "learner-not-awaited"
    /// A copy that was sent before what is held by now replaces it.
    case outdatedCopyTaken = "outdated-copy-taken"
    /// Two histories are the same if they are as long, whatever the terms of their entries.
    case tailsComparedByLength = "tails-compared-by-length"
    /// Replicas of a ledger that was taken over still take what the old primary sends.
    case noSeal = "no-seal"
    /// What happens to a ledger while a snapshot is written is not part of the snapshot.
    case snapshotWithoutTail = "snapshot-without-tail"

    // TaskLedger: decisions about tasks

    /// A task that is granted to a thief stays in the queue.
    case doubleGrant = "double-grant"
    /// The failure of an earlier attempt is taken for one of the present attempt.
    case staleTokenAccepted = "stale-token-accepted"
    /// A success is recorded though the task has its outcome.
    case secondOutcomeTaken = "second-outcome-taken"
    /// A task of at_most_once is started before its lease is committed.
    case onceBeforeCommit = "once-before-commit"
    /// A task of at_most_once that was cut off is started again.
    case onceStartedAgain = "once-started-again"
    /// Failed attempts are not counted: there is no end of retries.
    case retriesNotCounted = "retries-not-counted"
    /// An interruption costs a retry.
    case interruptionCountedAsFailure = "interruption-counted-as-failure"
    /// Interruptions are not blamed on the task that may have caused them.
    case poisonNotCounted = "poison-not-counted"
    /// Owners are not told that a task has begun at a thief.
    case beginningsNotTold = "beginnings-not-told"
    /// A task that is to be cancelled is ready again when its executor has stopped it.
    case cancelForgotten = "cancel-forgotten"
    /// Tasks are started though they have expired.
    case expiryIgnored = "expiry-ignored"
    /// The oldest task starts first, whatever its priority.
    case priorityIgnored = "priority-ignored"
    /// What nobody can start any more keeps its age and its turn in the ready queue.
    case lapsedLeads = "lapsed-leads"
    /// Delays and retries of a ledger that was taken over never become due.
    case takeoverForgetsDelays = "takeover-forgets-delays"
    /// Leases of those who are no members any more stay.
    case leasesOfTheDeadKept = "leases-of-the-dead-kept"
    /// A ledger without open tasks is given up although it has outcomes that the registry has not.
    case retiredWithOutcomes = "retired-with-outcomes"
    /// A token that an executor has disowned is run if its grant comes late.
    case barForgotten = "bar-forgotten"

    // Views

    /// Half of the voters are a majority.
    case oneVoterMajority = "one-voter-majority"
    /// A proposer prefers its own wish to what may have been chosen in an earlier ballot.
    case ownWishFirst = "own-wish-first"
    /// A node that starts again does not know the view that it has been in.
    case viewForgotten = "view-forgotten"
    /// Between its start and the next view a backup does not go by the view that it had.
    case viewNotRecalled = "view-not-recalled"
    /// One of two voters goes on alone though the other one may live.
    case aloneWithoutProof = "alone-without-proof"

    // The fence

    /// A start is not waited for, though the task was inherited and may have taken its owner down.
    case unwitnessedStarts = "unwitnessed-starts"
    /// A takeover starts everything at once, though the old primary may still start it.
    case noFenceRest = "no-fence-rest"
    /// An end is told while the former primary may still tell that the task waits.
    case toldWhileResting = "told-while-resting"
    /// The permit counts from the newest answer of any voter.
    case fenceFromNewestAnswer = "fence-from-newest-answer"
    /// A voter grants a permit to whoever asks.
    case permitForEverybody = "permit-for-everybody"

    // Keys, orders, queues, workflows

    /// What a key stands for is not kept.
    case keyNotBound = "key-not-bound"
    /// Keys do not go along when their slot gets another home.
    case keysNotShipped = "keys-not-shipped"
    /// While the keys of a slot are on their way to another home, the old one still takes tasks with new ones.
    case frozenSlotTakes = "frozen-slot-takes"
    /// Whoever is asked decides about a key, whether or not it is its home.
    case strangerDecides = "stranger-decides"
    /// Tasks that only an earlier primary has accepted are adopted, whatever their keys stand for by now.
    case boundKeyAdopted = "bound-key-adopted"
    /// Tasks of one ordering key do not wait for each other.
    case orderIgnored = "order-ignored"
    /// Tasks of a queue that is paused start.
    case pauseIgnored = "pause-ignored"
    /// One permit is enough for any number of starts.
    case permitNotUsed = "permit-not-used"
    /// The home of a queue lends permits before it knows what runs already.
    case lentUninformed = "lent-uninformed"
    /// A change of settings is answered as soon as one node goes by it.
    case changeHoldsHere = "change-holds-here"
    /// A message is published by settings of which nobody has lately said that there are no others.
    case settingsUnvouched = "settings-unvouched"
    /// A change of settings is made as often as it is asked for.
    case settingsMadeAgain = "settings-made-again"
    /// Steps of a workflow are undone in the order in which they were done.
    case undoneForwards = "undone-forwards"
    /// A step is undone without waiting for the end of what undoes the one after it.
    case undoneAtOnce = "undone-at-once"
    /// Compensations and callbacks do not wait until all steps have ended.
    case stepsNotAwaited = "steps-not-awaited"
    /// A task that waits for others starts when the first of them has ended.
    case firstParentIsEnough = "first-parent-is-enough"

    /// Tasks that a handler adds are added each time it runs.
    case addedAgain = "added-again"
    /// Whoever adds tasks to a workflow is told so before that is committed.
    case addedBeforeCommit = "added-before-commit"
    /// What is there already counts as added, though it may not be committed.
    case addedUnsettled = "added-unsettled"

    // Callbacks

    /// Who takes a ledger over does not look at what had ended before.
    case callbackLeftBehind = "callback-left-behind"
    /// It is not looked whether a task is called back already.
    case calledBackAgain = "called-back-again"
    /// The end of a new run counts as told with that of the first.
    case newRunUntold = "new-run-untold"

    // Topics

    /// Subscriptions that have ended still get messages.
    case subscriptionKept = "subscription-kept"
    /// When one task of a message fails, those that have not begun are cancelled.
    case messageSharesFate = "message-shares-fate"
    /// A message that nobody has subscribed to is not kept, though it has a key.
    case unwantedMessageUnbound = "unwanted-message-unbound"

    // Membership

    /// A generation that was declared dead may return.
    case tombstoneForgotten = "tombstone-forgotten"
    /// Who does not answer for long is taken for ended.
    case suspicionTakenForProof = "suspicion-taken-for-proof"
    /// A start is numbered by the clock alone.
    case generationFromClock = "generation-from-clock"

    // Journal

    /// A group counts as durable when it is written, though it is not synced.
    case noSync = "no-sync"
    /// A write that failed counts as done.
    case writeErrorIgnored = "write-error-ignored"
    /// The checksum of what is read is not looked at.
    case crcNotChecked = "crc-not-checked"
    /// The last one of the ledgers is not read back.
    case recoverySkipsLedger = "recovery-skips-ledger"
    /// A node whose journal is new keeps the identity of the store that it has lost.
    case newJournalOldStore = "new-journal-old-store"
    /// A backup acknowledges what is not on its disk.
    case backupAcksBeforeDisk = "backup-acks-before-disk"

    // Schedules

    /// A home does not look whether a firing was decided, nor up to where an earlier home has come.
    case firedAgain = "fired-again"

    // Node

    /// A client is told that its change is made before it is committed.
    case changeToldBeforeCommit = "change-told-before-commit"
    /// Who forgets the dead letters of one queue forgets those of the others as well.
    case purgeTakesAll = "purge-takes-all"
    /// Asked for an earlier time, a node tells of the present.
    case presentForPast = "present-for-past"
    /// A dead letter that is purged is only taken from the list.
    case purgeNotWritten = "purge-not-written"
    /// Outcomes are written to the registry before they are committed.
    case redisBeforeCommit = "redis-before-commit"
    /// Outcomes are never written to the registry.
    case resultNeverArchived = "result-never-archived"
    /// An outcome that the registry did not take counts as written.
    case unwrittenResultForgotten = "unwritten-result-forgotten"
    /// An outcome with a large result is reported, though nobody keeps that.
    case resultKeptByNobody = "result-kept-by-nobody"
    /// Large results are removed after a while, needed or not.
    case neededResultRemoved = "needed-result-removed"
    /// A large result counts as whole, whatever is read.
    case damageOverlooked = "damage-overlooked"
    /// Who waits for a task is forgotten when the task gets another owner.
    case waitersForgotten = "waiters-forgotten"
    /// A submission that was forwarded and not answered is forwarded to another node as well.
    case forwardedTwice = "forwarded-twice"
    /// A task is said not to exist though somebody who may have it does not answer.
    case unknownThoughSomeAreSilent = "unknown-though-some-are-silent"

    /// The one that is active.
    ///
    /// `nonisolated(unsafe)`: set before a run begins, by the thread that simulates, and only read during it.
    package nonisolated(unsafe) static var active: PlantedBug?

    @inline(__always)
    package static func isActive(_ bug: PlantedBug) -> Bool { active == bug }
}
#endif

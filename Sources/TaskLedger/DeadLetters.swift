import DequeModule
public import Primitives

/// The dead letters: tasks that have failed for good. They stay in their ledger, with payload and history, so that they
/// can be looked at and run again, whether or not the registry has their outcome.
///
/// They are bounded in number, bytes and age; the oldest go first, and are counted. One whose outcome the registry
/// still lacks waits for it: such outcomes are bounded by the room for tasks.
///
/// A ledger that was taken over is not drained as long as it has some.
extension TaskOwner {
    /// In the order in which they failed. One that was run again meanwhile is another one.
    struct Letter: Sendable, Hashable {
        var id: TaskID
        var run: UInt32
    }

    public struct LetterSummary: Sendable, Hashable {
        public var count: Int
        public var cost: Int
        /// When the oldest one failed.
        public var oldest: Timestamp?
        /// Given up for the bounds, since this process began.
        public var dropped: UInt64
    }

    public var letters: LetterSummary {
        let oldest = ledgers.compactMap { owned in
            owned.letters.lazy.compactMap { owned.primary.state[$0] }.first?.finishedAt
        }.min()
        return LetterSummary(
            count: ledgers.reduce(0) { $0 + $1.primary.state.letterCount },
            cost: ledgers.reduce(0) { $0 + $1.primary.state.letterCost }, oldest: oldest,
            dropped: counters.lettersDropped)
    }

    /// Gives up what is beyond the bounds. To be called now and then.
    public mutating func boundLetters(wallClock: Timestamp) {
        for index in ledgers.indices {
            compactLetters(in: index)
            while let first = ledgers[index].letters.first, let record = ledgers[index].primary.state[first] {
                let age = wallClock.milliseconds - (record.finishedAt ?? wallClock).milliseconds
                guard isBeyondBounds(index) || age > Limits.deadLetterMilliseconds else { break }
                // The outcome of no other may be passed over: they are archived in about the same order.
                guard ledgers[index].archivedLetters.contains(first.id), isTellable(record),
                    !isHeld(first.id, in: index)
                else { break }
                forgetLetter(first.id, in: index)
                counters.lettersDropped += 1
                compactLetters(in: index)
            }
        }
    }

    private func isBeyondBounds(_ index: Int) -> Bool {
        ledgers[index].primary.state.letterCount > Limits.deadLetters
            || ledgers[index].primary.state.letterCost > Limits.deadLetterBytes
    }

    /// Items that have lapsed do not pile up, and none is the first one.
    private mutating func compactLetters(in index: Int) {
        while let first = ledgers[index].letters.first, ledgers[index].primary.state[first] == nil {
            ledgers[index].letters.removeFirst()
        }
        guard ledgers[index].letters.count > 2 * ledgers[index].primary.state.letterCount + 64 else { return }
        let letters = ledgers[index].letters.filter { ledgers[index].primary.state[$0] != nil }
        ledgers[index].letters = Deque(letters)
    }

    /// Runs dead letters again, or forgets them: the oldest first, as many as there is room for.
    ///
    /// - Parameter request: makes one for each ledger that is concerned: `accepted(request)` follows once its part is
    ///   committed.
    /// - Returns: how many were dealt with, and how many others fit.
    public mutating func sweepLetters(
        isPurge: Bool, at now: Instant, timestamp: Timestamp, request: () -> UInt64, where fits: (TaskRecord) -> Bool
    ) -> (done: Int, left: Int) {
        var done = 0
        var left = 0
        for index in ledgers.indices {
            let before = done
            for letter in ledgers[index].letters {
                guard let record = ledgers[index].primary.state[letter], fits(record) else { continue }
                let isPossible =
                    isTellable(record) && !ledgers[index].primary.isCongested && (isPurge || room > 0)
                    && !isHeld(letter.id, in: index)
                guard isPossible else {
                    left += 1
                    continue
                }
                if isPurge { forgetLetter(letter.id, in: index) } else { retry(record, in: index, at: now, timestamp) }
                done += 1
            }
            if done > before { whenTellable(.accepted(request: request()), in: index) }
        }
        return (done, left)
    }

    mutating func letterGoes(_ id: TaskID, in index: Int) {
        if ledgers[index].archivedLetters.remove(id) == nil {
            ledgers[index].unarchived = max(0, ledgers[index].unarchived - 1)
        }
    }

    mutating func forgetLetter(_ id: TaskID, in index: Int) {
        letterGoes(id, in: index)
        #if PLANTED_BUGS
        if PlantedBug.isActive(.purgeNotWritten) { return }
        #endif
        record(.forgotten(id), in: index)
    }

    /// What a ledger that is taken over has.
    mutating func gatherLetters(in index: Int) {
        let failed = ledgers[index].primary.state.tasks.values.filter(\.isLetter)
        ledgers[index].letters = .init(
            failed.sorted { ($0.finishedAt ?? $0.id.createdAt, $0.id) < ($1.finishedAt ?? $1.id.createdAt, $1.id) }
                .map { Letter(id: $0.id, run: $0.run) })
    }
}

extension LedgerState {
    /// The task of a letter, if it still is one.
    subscript(letter: TaskOwner.Letter) -> TaskRecord? {
        guard let record = self[letter.id], record.isLetter, record.run == letter.run else { return nil }
        return record
    }
}

extension Limits {
    /// Dead letters of one ledger; the oldest go first.
    public static let deadLetters = 10_000
    /// About how many bytes they may take.
    public static let deadLetterBytes = 64 << 20
    /// How long they are kept (30 days).
    public static let deadLetterMilliseconds: Int64 = 30 * 86_400_000
}

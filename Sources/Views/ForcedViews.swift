public import Primitives

// A view that no majority of the voters has decided.
//
// It follows view n in one of two cases:
// - by proof: the voters that are left, fewer than a majority of three or more, agree on it, and every other voter's
//   process is proven to be gone;
// - by an operator, who says that the missing voters will not come back.
//
// Whatever the missing voters may have decided before they ended, or decide should they come back where they do not
// hear of it, must not be mixed up with it. So its number lies a *jump* above n, and so does the term of every ledger;
// the numbers of new ledgers leave a gap as well. The jump is at least `Limits.forcedJump`, more than there are views
// between two failures, and up to twice that by a random draw, so that views forced by two parts of a cluster that know
// nothing of each other differ too. When all meet again, the higher number is installed everywhere; what the others'
// ledgers hold is sealed by the higher terms, offered, and adopted.
//
// What remains is that two parts may work at the same time. Proof excludes that while the missing are dead; it does not
// when they start again in a place from which they do not reach the survivors, before they have heard of the forced
// view: a majority of the voters of view n, they would go on from n. What prevents it mostly: a voter that starts waits
// for *all* voters of its last view, up to `Limits.coldStartPatience`, unless it meets one that is running. For two
// voters there is no such case: see `ViewAgreement`.

extension Limits {
    /// How far a forced view's number, and its terms, lie above those before, at least; less than twice that.
    public static let forcedJump: UInt64 = 1_000_000
    /// Numbers of ledgers that a forced view leaves to the views that it does not know, at least.
    public static let forcedLedgerJump: UInt32 = 1024
    /// How long a voter that starts waits for all voters of its last view, once it has met a majority of them.
    public static let coldStartPatience = Duration.seconds(30)
}

extension View {
    /// Whether this view claims to follow `previous` without a majority.
    func isForced(after previous: View) -> Bool {
        let jump = number.subtractingReportingOverflow(previous.number)
        return !jump.overflow && (Limits.forcedJump..<2 * Limits.forcedJump).contains(jump.partialValue)
    }
}

/// How a view is forced.
struct Forcing {
    /// Added to the view's number and to the terms.
    let jump: UInt64
    /// Added to the number of the next ledger.
    let ledgerJump: UInt32
    /// By an operator: who is not there will not come back.
    let isFinal: Bool

    init(salt: UInt64, isFinal: Bool) {
        jump = Limits.forcedJump + salt % Limits.forcedJump
        ledgerJump = Limits.forcedLedgerJump * UInt32(1 + salt % 1024)
        self.isFinal = isFinal
    }
}

extension ViewPlanner {
    /// Whether the view can only go on by force, and may: three voters or more, not a majority of them alive, and every
    /// other one proven to be gone.
    public static func mayForce(after view: View, _ observed: Observations) -> Bool {
        guard view.voters.count > 2, !hasMajority(view, observed) else { return false }
        return view.voters.allSatisfy { voter in
            isThere(voter, observed)
                || observed.nodes.contains {
                    $0.id.name == voter.name && $0.profile.disk == voter.store && $0.isExitProven
                }
        }
    }

    /// The view that the survivors of `mayForce` may agree on. Ledgers without a living copy stay listed: their disks
    /// may come back.
    ///
    /// - Parameter salt: drawn at random, by each process anew.
    public static func forced(after view: View, _ observed: Observations, salt: UInt64) -> View? {
        plan(after: view, observed, Forcing(salt: salt, isFinal: false))
    }

    /// The view that an operator forces: of the members that are alive. Ledgers of which none of them holds a listed
    /// copy are given up (`losses`).
    ///
    /// - Returns: nil if nobody is alive.
    public static func recovered(after view: View, _ observed: Observations, salt: UInt64) -> View? {
        plan(after: view, withoutTheMissing(view, observed), Forcing(salt: salt, isFinal: true))
    }

    /// Whose positions are worth asking for before a view is forced.
    public static func positionsWantedToForce(
        _ view: View, _ observed: Observations
    ) -> [(ledger: LedgerID, replica: StoreHolder)] {
        positionsWanted(view, observed, Forcing(salt: 0, isFinal: true))
    }

    static func withoutTheMissing(_ view: View, _ observed: Observations) -> Observations {
        var observed = observed
        let alive = Set(observed.nodes.filter { $0.condition == .alive }.map(\.id.name))
        observed.nodes.removeAll { !alive.contains($0.id.name) }
        for member in view.members where !alive.contains(member.id.name) {
            observed.nodes.append(ObservedNode(id: member.id, profile: member.profile, condition: .gone))
        }
        return observed
    }

    /// Alive, and with its disk.
    static func isThere(_ voter: StoreHolder, _ observed: Observations) -> Bool {
        observed.nodes.contains {
            $0.id.name == voter.name && $0.profile.disk == voter.store && $0.condition == .alive
        }
    }

    static func hasMajority(_ view: View, _ observed: Observations) -> Bool {
        view.voters.count { isThere($0, observed) } >= view.majority
    }
}

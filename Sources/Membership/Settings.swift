import Primitives

extension Membership {
    /// The protocol's constants. The defaults are for a local network; those that the paper derives from others are
    /// derived here too.
    public struct Settings: Hashable, Sendable {
        /// One member is probed in each (SWIM: T').
        public var period: Duration = .milliseconds(200)
        /// Members that are asked to ping one that did not answer (SWIM: k).
        public var indirectProbes = 3
        /// Paces, times log10 of the members, that a suspect has at least (Lifeguard: alpha).
        public var suspicionMultiplier = 4
        /// The longest suspicion over the shortest: how long a suspect has that nobody else suspects (Lifeguard: beta).
        public var suspicionSpread = 6
        /// Independent confirmations that bring a suspicion down to its shortest (Lifeguard: K); fewer if there are
        /// fewer others.
        public var confirmations = 2
        /// Greatest factor by which poor local health stretches periods and timeouts (Lifeguard: S + 1).
        public var healthLevels = 8
        /// Lifeguard (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More Accurate Failure
        /// Detection", 2017). Without it, for comparison only, this is SWIM as it was:
        /// - the local health multiplier is always 1, and helpers send no nacks (section IV-A, LHA Probe);
        /// - a suspicion lasts the shortest time from the start, whoever confirms it (section IV-B, LHA Suspicion, also
        ///   called dogpile);
        /// - nobody tells a suspect so, nor asks it more often than others: it has to hear it by gossip (section IV-C,
        ///   Buddy System).
        public var hasLifeguard = true
        /// Sendings of a rumor over the decimal digits of the number of members (SWIM: lambda).
        public var retransmitMultiplier = 4
        /// Members to which news goes at once, and in every period in which there is any.
        public var fanout = 3
        public var pushPullInterval: Duration = .seconds(30)
        /// Between attempts to reach seeds and the dead, for ever. The first attempts come sooner: see `joinDelay`.
        public var rejoinInterval: Duration = .seconds(10)
        /// Living members, this node included; more are turned away.
        public var members = Limits.members
        /// How long others may hold a later generation of this node's name for alive before it counts as another process:
        /// longer than a suspicion lasts on a local network.
        public var rivalPatience: Duration = .seconds(30)
        /// How long the dead and the left are remembered (and shown).
        public var tombstoneLifetime: Duration = .seconds(86_400)

        public init() {}

        /// Without Lifeguard there is one level: health is always good.
        var localHealthLevels: Int { hasLifeguard ? healthLevels : 1 }

        /// A tick that comes later than this after its deadline means that this process was not running.
        public var oversleep: Duration { period / 2 }

        /// Between the sendings of a farewell, and until urgent news is sent a second time.
        public var urgentInterval: Duration { period / 4 }

        /// Before the next attempt to join, after `attempts` without success: doubling from one period.
        func joinDelay(attempts: Int) -> Duration {
            attempts < 16 ? min(period * (1 << attempts), rejoinInterval) : rejoinInterval
        }

        /// - Parameter members: living ones, this node included.
        func confirmationsNeeded(members: Int) -> Int { hasLifeguard ? max(0, min(confirmations, members - 2)) : 0 }

        /// alpha x max(1, log10 N) x pace.
        func shortestSuspicion(members: Int, at pace: Pace) -> Duration {
            pace.probe * suspicionMultiplier * max(1, logarithm(Double(max(members, 1))) / logarithm(10))
        }

        /// lambda x ceiling(log10(N + 1)).
        func retransmitLimit(members: Int) -> Int {
            var digits = 1
            var power = 10
            while power < members + 1 {
                digits += 1
                power *= 10
            }
            return retransmitMultiplier * digits
        }
    }
}

/// How fast the protocol can go on the network at hand.
struct Pace: Hashable, Sendable {
    /// How long a probe takes, and the unit of a suspicion: the period, or five round trips where the network is too
    /// slow for that (a probe needs three: its own ping's, and two on the way through a helper); at most ten periods.
    let probe: Duration
    /// Until others are asked to ping too. Two fifths of the probe: the helpers' round trips and their nack have to fit
    /// into the rest.
    let timeout: Duration
    /// Until a helper says that it has no answer either: 80 % of the timeout (Lifeguard, section IV-A).
    let nackDelay: Duration

    init(_ settings: Membership.Settings, roundTrip: Duration) {
        probe = min(max(settings.period, roundTrip * 5), settings.period * 10)
        timeout = probe * 2 / 5
        nackDelay = timeout * 4 / 5
    }
}

/// Bounds of what the machine remembers, beside `Settings.members` for the living.
enum MembershipLimits {
    /// Dead and left members remembered; the oldest is forgotten first.
    static let tombstones = 256
    /// Rumors waiting to be spread; the one sent most often is dropped first.
    static let rumors = 512
    /// Addresses to join by; the one given first is dropped first.
    static let seeds = 64
    /// Members whose end somebody has seen and that is not proven yet; the oldest evidence is dropped first. With more
    /// than half of them gone, there is no majority that could use it.
    static let evidence = Limits.members / 2
    /// Others who have proof: one is enough, two are heard of sooner.
    static let witnesses = 2
    /// Probes under way: one per period, more after lost connections and proofs.
    static let probes = 32
    /// Pings on behalf of others; a request beyond that is answered by a nack.
    static let relays = 256
    /// Answers in one period that nobody waits for: welcomes, introductions, corrections.
    static let courtesies = 64
    /// Those who are not living members, reached for in one attempt while there are living ones.
    static let reachedPerAttempt = 3
}

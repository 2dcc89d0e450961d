import HeapModule
public import Primitives

/// A fingerprint of what a client sent, so that the same request can be told from another one under the same key.
public struct BodyDigest: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

/// An idempotency key, among those that come with the same ordering key, or with none.
public struct KeyName: Hashable, Comparable, Sendable {
    /// 1...`Limits.keyBytes` bytes.
    public var key: String
    public var orderingKey: String?

    public init(key: String, orderingKey: String? = nil) {
        self.key = key
        self.orderingKey = orderingKey
    }

    public var slot: KeySlot {
        orderingKey.map { KeySlot(of: $0, in: .ordering) } ?? KeySlot(of: key, in: .idempotency)
    }

    public static func < (a: KeyName, b: KeyName) -> Bool {
        (a.key, a.orderingKey ?? "") < (b.key, b.orderingKey ?? "")
    }
}

/// What an idempotency key stands for: the one task that was accepted under it.
public struct KeyBinding: Hashable, Sendable {
    public var name: KeyName
    public var body: BodyDigest
    public var task: TaskID
    /// From then on the key is free.
    public var until: Instant

    public init(name: KeyName, body: BodyDigest, task: TaskID, until: Instant) {
        self.name = name
        self.body = body
        self.task = task
        self.until = until
    }

    /// About how many bytes it takes.
    public var cost: Int { 64 + name.key.utf8.count + (name.orderingKey?.utf8.count ?? 0) }
}

/// The idempotency keys that a ledger knows. A key outlives its task: that may be forgotten long before.
///
/// A binding comes with the entry that accepts its task, so there is never one without the other; or from the ledger that
/// the key's slot belonged to before. It is void once its time is up, by the clock of whoever decides; the memory is
/// given back with later bindings, so replicas need not agree on when.
public struct KeyBindings: Sendable {
    private struct Expiry: Sendable, Comparable {
        var at: Instant
        var name: KeyName

        static func < (a: Expiry, b: Expiry) -> Bool { (a.at, a.name) < (b.at, b.name) }
    }

    private var bindings: [KeyName: KeyBinding] = [:]
    private var expiries = Heap<Expiry>()

    public var count: Int { bindings.count }

    public subscript(name: KeyName) -> KeyBinding? { bindings[name] }

    /// In a stable order.
    public var sortedNames: [KeyName] { bindings.keys.sorted() }

    /// Of two bindings of a key the later one counts.
    ///
    /// - Parameter now: of the entry; bindings that were void long before it are given up. Nil: none are.
    mutating func bind(_ binding: KeyBinding, at now: Instant?) {
        if let mark = TaskSpec.mark(with: binding) { bind(mark, at: nil) }
        if let old = bindings[binding.name] {
            // Of two marks that of the later time counts, whatever clocks say.
            if let time = binding.markedTime, let before = old.markedTime, time != before {
                guard time > before else { return }
            } else if old.until >= binding.until {
                return
            }
        }
        bindings[binding.name] = binding
        expiries.insert(Expiry(at: binding.until, name: binding.name))
        if let now { prune(at: now, upTo: 4) }
    }

    /// Gives up so many bindings that were void long before.
    mutating func prune(at now: Instant, upTo count: Int = .max) {
        var rest = count
        while rest > 0, let first = expiries.min, first.at + Limits.voidKeyRest < now {
            expiries.removeMin()
            if bindings[first.name]?.until == first.at { bindings[first.name] = nil }
            rest -= 1
        }
    }

}

extension Limits {
    /// An idempotency or ordering key.
    public static let keyBytes = 255
    /// Idempotency keys that one ledger remembers; beyond, submissions with a key are refused.
    public static let boundKeys = 1_000_000
    /// How long a key is bound unless its task says otherwise: a day, in milliseconds.
    public static let keyWindow: UInt64 = 86_400_000
    /// How much longer a void binding is kept at least: replicas tell the time a little differently.
    static let voidKeyRest = Duration.seconds(60)
}

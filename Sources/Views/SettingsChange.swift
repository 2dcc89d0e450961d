public import Primitives

/// One thing to be changed in the settings. It names only what is to change, so operations that come at the same time from
/// several nodes add up, unless they are about the very same thing.
public enum SettingsOperation: Hashable, Sendable {
    /// What is set for a queue.
    case queue(String, [QueueField])
    /// A new subscription, or another one under this name.
    case subscribe(Subscription)
    /// By name; one that is not there is no error.
    case unsubscribe(String)
    /// A schedule as it is to be from now on: a new one, or instead of the one of this name.
    case schedule(ScheduleSettings)
    case deleteSchedule(String)
}

/// A setting of a queue, and its new value; nil: as without the setting.
public enum QueueField: Hashable, Sendable {
    case isPaused(Bool)
    case maxLength(UInt32?)
    case maxBytes(UInt64?)
    case maxRetries(UInt16?)
    case retry(RetryPolicy?)
    case timeout(UInt32?)
    case weight(UInt16?)
    case rate(UInt32?)
    case concurrency(UInt32?)
}

/// Why an operation was not carried out.
public enum SettingsRefusal: UInt8, Error, Hashable, Sendable, CaseIterable {
    /// As many queues as may have settings have some.
    case tooManyQueues = 1
    /// It would break what holds of the settings: a peer's word, or a version that knows other bounds.
    case invalid = 2
    /// There are as many subscriptions as may be, or they take as many bytes.
    case tooManySubscriptions = 8
    case tooManySchedules = 10
    /// Together the schedules would take more bytes than they may.
    case schedulesTooLarge = 11
    case unknownSchedule = 12
}

/// A node's request to carry out an operation in the next view.
///
/// It is void in any view but the one it names, so it is applied once however often it is repeated: only the view after
/// that one can contain it. The node that asks repeats it until it has installed a later view, and asks again in the name of
/// that one if it does not tell of the change.
public struct SettingsChange: Hashable, Sendable {
    /// Drawn at random by the node that asks.
    public var id: UInt64
    public var view: UInt64
    public var operation: SettingsOperation

    public init(id: UInt64, view: UInt64, operation: SettingsOperation) {
        self.id = id
        self.view = view
        self.operation = operation
    }
}

/// What became of a change.
public struct AppliedChange: Hashable, Sendable {
    public var id: UInt64
    /// Nil: it was carried out.
    public var refusal: SettingsRefusal?

    public init(id: UInt64, refusal: SettingsRefusal? = nil) {
        self.id = id
        self.refusal = refusal
    }
}

extension ClusterSettings {
    /// What one operation leads to.
    ///
    /// - Parameter view: the number of the view that is made.
    public func applying(
        _ operation: SettingsOperation, in view: UInt64
    ) throws(SettingsRefusal) -> ClusterSettings {
        var next = self
        switch operation {
        case .queue(let name, let fields):
            var queue = queue(name)
            for field in fields { queue.set(field) }
            try next.set(queue)
        case .subscribe(let subscription): try next.set(subscription)
        case .unsubscribe(let name):
            #if PLANTED_BUGS
            if PlantedBug.isActive(.subscriptionKept) { break }
            #endif
            next.subscriptions.removeAll { $0.name == name }
        case .schedule(let schedule): try next.set(schedule, in: view)
        case .deleteSchedule(let name): try next.removeSchedule(name)
        }
        do throws(ViewError) {
            try next.validate()
        } catch {
            throw .invalid
        }
        return next
    }

    /// What the changes lead to, in the order of their ids: it does not matter how the proposer came to know them.
    func applying(_ changes: [SettingsChange], in view: UInt64) -> ClusterSettings {
        var next = self
        var last: UInt64?
        for change in changes.sorted(by: { $0.id < $1.id }).prefix(Limits.changesPerView) where change.id != last {
            last = change.id
            do throws(SettingsRefusal) {
                next = try next.applying(change.operation, in: view)
                next.applied.append(AppliedChange(id: change.id))
            } catch {
                next.applied.append(AppliedChange(id: change.id, refusal: error))
            }
            next.applied.removeFirst(max(0, next.applied.count - Limits.appliedChanges))
        }
        return next
    }

    func validate() throws(ViewError) {
        guard (1...Limits.copies).contains(Int(copies)) else { throw .malformed("\(copies) copies") }
        guard queues.count <= Limits.configuredQueues else { throw .malformed("\(queues.count) queues") }
        guard zip(queues, queues.dropFirst()).allSatisfy({ $0.name < $1.name }) else {
            throw .malformed("queues do not ascend by name")
        }
        for queue in queues { try queue.validate() }
        guard subscriptions.count <= Limits.subscriptions else {
            throw .malformed("\(subscriptions.count) subscriptions")
        }
        guard zip(subscriptions, subscriptions.dropFirst()).allSatisfy({ $0.name < $1.name }) else {
            throw .malformed("subscriptions do not ascend by name")
        }
        for subscription in subscriptions { try subscription.validate() }
        try validateSchedules()
        guard applied.count <= Limits.appliedChanges else { throw .malformed("\(applied.count) changes of settings") }
    }
}

extension QueueSettings {
    public mutating func set(_ field: QueueField) {
        switch field {
        case .isPaused(let value): isPaused = value
        case .maxLength(let value): maxLength = value
        case .maxBytes(let value): maxBytes = value
        case .maxRetries(let value): maxRetries = value
        case .retry(let value): retry = value
        case .timeout(let value): timeout = value
        case .weight(let value): weight = value ?? 1
        case .rate(let value): rate = value
        case .concurrency(let value): concurrency = value
        }
    }
}

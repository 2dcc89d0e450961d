import Primitives
import Service

/// What the owner of a task says of it.
enum OwnersWord<Value: Sendable>: Sendable {
    case told(Value, TaskSnapshot, by: NodeName)
    /// Only the registry has the task: its JSON document.
    case archived([UInt8])
    case unknown
    /// It ended, and its result's time is up.
    case expired
    /// Nobody who may own it can be asked now, and why.
    case unavailable(String)
}

extension NodeService {
    /// Finds a task, and asks its owner about it.
    ///
    /// Between the two the owner may have handed it over, or the registry may have come to be the only place that has it: then
    /// it is looked for again, where it is now.
    ///
    /// - Parameter question: nil: the owner does not answer, or does not have the task any more.
    func ownersWord<Value>(
        on id: TaskID, _ question: (TaskSnapshot, NodeName) async -> Value?
    ) async -> OwnersWord<Value> {
        let began = node.now
        while true {
            let snapshot: TaskSnapshot
            switch await find(id, wait: .zero) {
            case .found(let found): snapshot = found
            case .archived(let document): return .archived(document)
            case .unknown: return .unknown
            case .expired: return .expired
            case .unavailable(let reason): return .unavailable(reason)
            }
            let owner = snapshot.owner ?? node.name
            if let value = await question(snapshot, owner) { return .told(value, snapshot, by: owner) }
            guard node.now - began < Limits.ownerPatience else {
                return .unavailable("\(owner), which owns it, does not answer, or is handing it over: try again")
            }
            await sleep(Limits.ownerPause)
        }
    }
}

extension Limits {
    /// The owner of a task is looked for again within this.
    static let ownerPatience = Duration.seconds(2)
    static let ownerPause = Duration.milliseconds(20)
}

import Dispatch
import Synchronization

/// Collects what callbacks tell, and lets a test wait for it with a deadline.
final class Record<Value: Sendable>: Sendable {
    struct Late: Error, CustomStringConvertible {
        let description: String
    }

    private struct Waiter {
        let isMet: @Sendable ([Value]) -> Bool
        let continuation: CheckedContinuation<[Value]?, Never>
    }

    private struct State {
        var values: [Value] = []
        var waiters: [Int: Waiter] = [:]
        var nextWaiter = 0
    }

    private let state = Mutex(State())

    var values: [Value] { state.withLock { $0.values } }

    func append(_ value: Value) {
        let met = state.withLock { state in
            state.values.append(value)
            let met = state.waiters.filter { $0.value.isMet(state.values) }
            for id in met.keys { state.waiters[id] = nil }
            return met.values.map { ($0.continuation, state.values) }
        }
        for (continuation, values) in met { continuation.resume(returning: values) }
    }

    /// The values, once the condition holds.
    @discardableResult
    func wait(
        within deadline: Duration = .seconds(20), until isMet: @escaping @Sendable ([Value]) -> Bool
    ) async throws -> [Value] {
        let found: [Value]? = await withCheckedContinuation { continuation in
            let (id, present): (Int, [Value]?) = state.withLock { state in
                if isMet(state.values) { return (0, state.values) }
                state.nextWaiter += 1
                state.waiters[state.nextWaiter] = Waiter(isMet: isMet, continuation: continuation)
                return (state.nextWaiter, nil)
            }
            if let present { return continuation.resume(returning: present) }
            let (seconds, attoseconds) = deadline.components
            let time = DispatchTime.now() + Double(seconds) + Double(attoseconds) / 1e18
            DispatchQueue.global().asyncAfter(deadline: time) { [self] in
                let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
                waiter?.continuation.resume(returning: nil)
            }
        }
        guard let found else {
            throw Late(description: "after \(deadline) there were \(values.count), the last \(values.suffix(10))")
        }
        return found
    }

    @discardableResult
    func wait(count: Int, within deadline: Duration = .seconds(20)) async throws -> [Value] {
        try await wait(within: deadline) { $0.count >= count }
    }
}

import HTTPTypes
import Synchronization

/// Bounds what all bodies that are being read take together: `APILimits.bodiesBytes`. Each of them is bounded by itself,
/// but thousands of connections are allowed.
///
/// Small bodies are not counted, so that clients with large ones cannot keep the others out: with
/// `APISettings.connections` of them they are bounded too.
final class BodyBudget: Sendable {
    private let available: Mutex<Int>

    init(bytes: Int = APILimits.bodiesBytes) { available = Mutex(bytes) }

    /// Runs `body` with `bytes` of the budget, or throws a 503.
    func reserve<Value>(_ bytes: Int, _ body: () async throws -> Value) async throws -> Value {
        guard bytes > APILimits.smallBodyBytes else { return try await body() }
        let isReserved = available.withLock { available in
            guard available >= bytes else { return false }
            available -= bytes
            return true
        }
        guard isReserved else { throw Problem.unavailable("too many large bodies are being received; try again") }
        defer { available.withLock { $0 += bytes } }
        return try await body()
    }
}

import Testing

/// Asks `condition` until it has a value; fails after `limit`.
func eventually<Value: Sendable>(
    within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: @Sendable () async throws -> Value?
) async throws -> Value {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while clock.now < deadline {
        if let value = try await condition() { return value }
        try await Task.sleep(for: .milliseconds(2))
    }
    Issue.record("not within \(limit)", sourceLocation: sourceLocation)
    throw NotInTime()
}

struct NotInTime: Error {}

import Primitives
import Service
import Views

/// What an operator may do when no majority is left.
extension NodeService {
    func recovery() async -> Service.RecoveryReport? { nil }

    func recover() async -> RecoveryOutcome { .unavailable("not yet") }
}

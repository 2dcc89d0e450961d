import Foundation
import Testing

/// Clusters of real processes: one test at a time, since they share the machine's processors and measure time.
@Suite(.serialized, .timeLimit(.minutes(6)))
struct ProcessTests {
    /// `APUS_THOROUGH=1`: longer tests, and more of them, than every change has to wait for.
    static let isThorough = ProcessInfo.processInfo.environment["APUS_THOROUGH"] == "1"
}

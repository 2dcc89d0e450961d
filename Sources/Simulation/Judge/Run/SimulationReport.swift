/// What came of one run. Coded as JSON between the processes of the runner.
package struct SimulationReport: Codable, Sendable {
    package struct Failure: Codable, Hashable, Sendable {
        /// A `Property`.
        package var property: String
        package var meaning: String
        package var detail: String
        /// Virtual seconds.
        package var seconds: Double

        package init(property: String, meaning: String, detail: String, seconds: Double) {
            self.property = property
            self.meaning = meaning
            self.detail = detail
            self.seconds = seconds
        }
    }

    package var seed: UInt64
    package var failure: Failure?
    /// Options and faults, a line each; only of a run that failed.
    package var plan: [String] = []
    /// What has happened last; only of a run that failed.
    package var lastEvents: [String] = []
    package var traceHash: UInt64 = 0
    /// Virtual seconds of the whole cluster.
    package var seconds = 0.0
    package var events: UInt64 = 0
    /// Real seconds.
    package var elapsed = 0.0
    package var nodes = 0
    /// By kind.
    package var faults: [String: Int] = [:]
    /// Those that would have destroyed more than the promise allows, and were made milder.
    package var spared: [String: Int] = [:]
    /// What there was of everything.
    package var counts: [String: Int] = [:]
    /// Attempts that were made again though they had not failed, by cause.
    package var duplicates: [String: Int] = [:]
    /// Virtual seconds until faults began; nil if it did not come to that.
    package var secondsToFaults: Double?
    /// Virtual seconds from healing until the cluster was well.
    package var secondsToHealth: Double?
    /// The longest time in which no client could submit, though a majority of the nodes could talk, in virtual seconds.
    package var worstGap = 0.0

    package init(seed: UInt64) { self.seed = seed }
}

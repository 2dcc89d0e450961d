import Testing

/// Clusters of real processes: one test at a time, since they share the machine's processors and measure time.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ProcessTests {}

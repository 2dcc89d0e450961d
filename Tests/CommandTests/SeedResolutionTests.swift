import Logging
import Primitives
import Testing

@testable import Command

struct SeedResolutionTests {
    @Test func namesBecomeNumbersAndUnknownOnesAreLeftOut() {
        let seeds = [
            Address(host: "10.1.2.3", port: 1), Address(host: "localhost", port: 2),
            Address(host: "no-such-host.invalid", port: 3),
        ]
        let resolved = resolve(seeds, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        #expect(resolved.first == seeds[0])
        #expect(resolved.contains(Address(host: "127.0.0.1", port: 2)))
        #expect(!resolved.contains { $0.port == 3 })
    }
}

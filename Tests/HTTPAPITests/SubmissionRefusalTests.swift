import Primitives
import Service
import Testing

/// What a client is told when several nodes refuse, each for its own reason.
@Suite struct SubmissionRefusalTests {
    private static let here = FullDisk(node: Samples.node(2), folder: "/b")
    private static let there = FullDisk(node: Samples.node(1), folder: "/a")

    @Test(arguments: [
        (
            SubmissionRefusal.diskFull([here]), SubmissionRefusal.diskFull([there]),
            SubmissionRefusal.diskFull([there, here])
        ),
        (.diskFull([here]), .full(retryAfter: 1), .full(retryAfter: 1)),
        (.full(retryAfter: 1), .diskFull([there]), .full(retryAfter: 1)),
        (.full(retryAfter: 1), .full(retryAfter: 2), .full(retryAfter: 1)),
        (.unavailable("it drains"), .diskFull([there]), .diskFull([there])),
        (.unavailable("it drains"), .full(retryAfter: 1), .full(retryAfter: 1)),
        (.unconfirmed(Samples.id), .full(retryAfter: 1), .unconfirmed(Samples.id)),
    ])
    func whatIsOverFirstIsTold(first: SubmissionRefusal, second: SubmissionRefusal, told: SubmissionRefusal) {
        #expect(first.weighed(against: second) == told)
    }
}

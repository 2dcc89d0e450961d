import APIModel
import Primitives

extension ClusterClient {
    /// Waits until a task has ended, for as long as it takes; a node that goes away meanwhile is replaced by another one.
    func outcome(of id: TaskID) async throws -> (document: TaskDocument, body: [UInt8]) {
        let path = "/api/tasks/\(id)?wait=\(Self.pollSeconds)"
        var failures = 0
        while true {
            do {
                let answer = try await Self.send(
                    .GET, path, to: try await living(), limit: .seconds(Int64(Self.pollSeconds) + 5))
                switch answer.status {
                case 404, 410:
                    // What is not there will not come by asking again.
                    throw CommandFailure(answer.problem.message, code: Self.absent)
                default:
                    let task = try answer.document(as: TaskDocument.self)
                    if isFinal(task.status) { return (task, answer.body) }
                    failures = 0
                }
            } catch let failure as CommandFailure where failure.code != Self.absent && failures < Self.pollRetries {
                failures += 1
                try await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    private static let pollSeconds = 20
    /// So many times half a second (10 s) a cluster may be without an answer: it may be in the middle of a takeover.
    private static let pollRetries = 20
    /// The exit code of a verb that asks for a task that is not there.
    private static let absent: Int32 = 3
}

/// Whether a task of that status has ended.
func isFinal(_ status: String) -> Bool { ["completed", "failed", "cancelled", "expired"].contains(status) }

/// The id that a user gave.
func taskID(_ text: String) throws -> TaskID {
    guard let id = TaskID(text) else {
        throw CommandFailure(
            "`\(clipped(text, 60))` is no task id: expected a UUID, such as 01980f4e-5b6a-7c3d-8e9f-0123456789ab")
    }
    return id
}

import Primitives
import TaskExecution

/// `gather`: what became of the tasks that this one waited for, as a JSON object `{"parents":[{"id","status","result"}]}` in
/// the order of `depends_on`. `result` is null where there is none.
struct GatherHandler: TaskHandler {
    let taskType = "gather"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        var json = Array(#"{"parents":["#.utf8)
        for (index, parent) in attempt.parents.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            let result = try await attempt.result(of: parent)
            json += Array(#"{"id":"\#(parent.id)","status":"\#(parent.status ?? "open")","result":"#.utf8)
            json += result ?? Array("null".utf8)
            json.append(UInt8(ascii: "}"))
            guard json.count <= Limits.resultBytes else {
                throw HandlerError(
                    type: "result_too_large",
                    message: "the results of its parents have more than the \(Limits.resultBytes) bytes of a result",
                    isRetryable: false)
            }
        }
        return json + Array("]}".utf8)
    }
}

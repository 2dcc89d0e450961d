import APIModel
import Foundation
import TaskLedger

extension ToldOutcome {
    /// The document of a task as the registry holds it; nil: it is none.
    init?(document: [UInt8]) {
        guard let task = try? JSONDecoder().decode(TaskDocument.self, from: Data(document)),
            let status = TaskStatus(name: task.status), status.isFinal
        else { return nil }
        self.init(
            status: status, finishedAt: task.finishedAt?.milliseconds, failure: task.error?.type,
            resultBytes: task.result?.bytes.count)
    }
}

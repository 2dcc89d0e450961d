import APIModel
import Foundation
import Primitives
import TaskLedger

/// What of an archived task's document is an outcome. The result is left alone: as a JSON value it would be spelled anew.
private struct ArchivedDocument: Decodable {
    struct Failure: Decodable {
        var type: String
    }

    var status: String
    var run: UInt32
    var finishedAt: Timestamp?
    var error: Failure?

    enum CodingKeys: String, CodingKey {
        case status, run, error
        case finishedAt = "finished_at"
    }
}

extension ToldOutcome {
    /// The document of a task as the registry holds it; nil: it is none.
    init?(document: [UInt8]) {
        guard let task = try? JSONDecoder().decode(ArchivedDocument.self, from: Data(document)),
            let status = TaskStatus(name: task.status), status.isFinal
        else { return nil }
        self.init(
            run: task.run, status: status, finishedAt: task.finishedAt?.milliseconds, failure: task.error?.type,
            resultBytes: nil)
    }
}

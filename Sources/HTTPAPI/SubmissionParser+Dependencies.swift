import APIModel
import Primitives
import TaskLedger

/// The tasks that a submitted one waits for.
extension SubmissionParser {
    mutating func readDependsOn(_ pointer: String) throws(JSONError) {
        guard try reader.next(is: .array, pointer, "an array of task ids") else { return }
        try reader.parser.beginArray()
        var isFirst = true
        var position = 0
        while try reader.parser.nextElement(isFirst: &isFirst) {
            let entry = "\(pointer)/\(position)"
            position += 1
            // Past the bound nothing is kept, so that a long array costs no more than its bytes.
            guard position <= Limits.dependencies else {
                try reader.parser.skipValue()
                if position == Limits.dependencies + 1 {
                    reader.report(pointer, "must name at most \(Limits.dependencies) tasks")
                }
                continue
            }
            guard try reader.parser.peek() != .null else {
                try reader.parser.skipValue()
                reader.report(entry, "must be the id of a task, got null")
                continue
            }
            guard let text = try reader.string(entry, "the id of a task") else { continue }
            if let id = TaskID(text) {
                if spec.dependencies.parents.contains(id) {
                    reader.report(entry, "given twice")
                } else {
                    spec.dependencies.parents.append(id)
                }
            } else {
                reader.report(entry, "must be the id of a task (a UUID), got \(quoted(text))")
            }
        }
    }

    mutating func readOnDependencyFailure(_ pointer: String) throws(JSONError) {
        let word = try reader.word(pointer, of: TaskDependencies.FailurePolicy.allCases.map(\.name))
        if let policy = TaskDependencies.FailurePolicy.allCases.first(where: { $0.name == word }) {
            spec.dependencies.onFailure = policy
        }
    }

    /// A policy for nothing is a mistake of its client.
    mutating func checkDependencies(policyGiven: Bool) {
        guard spec.dependencies.isEmpty else { return }
        let isMet = reader.errors.contains { $0.pointer.hasPrefix("/depends_on") }
        if policyGiven, !isMet {
            reader.report("/on_dependency_failure", "\"depends_on\" names no task: leave it out, or name some")
        }
        spec.dependencies = .none
    }
}

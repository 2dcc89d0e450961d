import Primitives

/// What the simulated handler (`SimulatedHandler.taskType`) is to do: the payload of a simulated task, as JSON.
package struct HandlerScript: Hashable, Sendable {
    package enum Outcome: UInt8, Hashable, Sendable {
        case completes
        /// Retryable.
        case fails
        /// Not retryable.
        case failsForGood
        /// Never returns unless it is cancelled.
        case hangs
        /// Ignores its cancellation, and completes.
        case ignoresCancellation
    }

    /// How long it runs, in virtual milliseconds.
    package var milliseconds: UInt32
    package var outcome: Outcome
    /// The first attempts of a run (as the token counts them) that fail, retryably, before `outcome` applies.
    package var failures: UInt32
    /// Bytes of the result.
    package var resultBytes: UInt32
    /// Tasks that it adds to its workflow, in the middle of its time.
    package var children: UInt32 = 0

    package init(milliseconds: UInt32, outcome: Outcome = .completes, failures: UInt32 = 0, resultBytes: UInt32 = 8) {
        self.milliseconds = milliseconds
        self.outcome = outcome
        self.failures = failures
        self.resultBytes = resultBytes
    }

    /// A JSON array of the numbers; the last one only if there are children.
    package var payload: [UInt8] {
        let more = children > 0 ? ",\(children)" : ""
        return Array("[\(milliseconds),\(outcome.rawValue),\(failures),\(resultBytes)\(more)]".utf8)
    }

    /// What the tasks that it adds do: some fail at first, and the last of several adds one more.
    var childScripts: [HandlerScript] {
        (0..<children).map { place in
            var script = HandlerScript(milliseconds: max(1, milliseconds / 2), failures: place % 2)
            if place > 0, place == children - 1 { script.children = 1 }
            return script
        }
    }

    /// How the tasks are called that a task of this name adds.
    func childRefs(of ref: String) -> [String] { (0..<children).map { "\(ref)-\($0)" } }

    /// Nil for anything else than a payload that was made by `payload`.
    package init?(_ payload: [UInt8]) {
        guard payload.first == UInt8(ascii: "["), payload.last == UInt8(ascii: "]") else { return nil }
        var numbers: [UInt32] = [0]
        for byte in payload.dropFirst().dropLast() {
            if byte == UInt8(ascii: ",") {
                numbers.append(0)
                continue
            }
            guard (0x30...0x39).contains(byte) else { return nil }
            let (product, overflow) = numbers[numbers.count - 1].multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt32(byte - 0x30))
            guard !overflow, !carry else { return nil }
            numbers[numbers.count - 1] = sum
        }
        guard (4...5).contains(numbers.count), numbers[1] <= UInt8.max,
            let outcome = Outcome(rawValue: UInt8(numbers[1]))
        else {
            return nil
        }
        self.init(milliseconds: numbers[0], outcome: outcome, failures: numbers[2], resultBytes: numbers[3])
        if numbers.count == 5 { children = numbers[4] }
    }
}

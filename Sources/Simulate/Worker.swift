import Foundation
import Simulation

/// A process that simulates: reads requests, a line of JSON each, and answers each with one line.
///
/// Runs have a process of their own since what they find may be a trap: the crew then knows which seed it was.
enum Worker {
    static func serve() throws {
        let decoder = JSONDecoder()
        let encoder = JSONEncoder()
        while let line = readLine(strippingNewline: true) {
            let request = try decoder.decode(SimulationRequest.self, from: Data(line.utf8))
            let began = Date()
            var report = try request.run()
            report.elapsed = Date().timeIntervalSince(began)
            var bytes = try encoder.encode(report)
            bytes.append(UInt8(ascii: "\n"))
            try FileHandle.standardOutput.write(contentsOf: bytes)
        }
    }
}

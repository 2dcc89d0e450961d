import ArgumentParser
import Foundation

struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stops a local node in its tracks (SIGSTOP), as a long pause of its machine would.")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    func run() async throws {
        let node = try await LocalFaults(home: ClusterHome()).pause(index)
        say(
            "paused \(node.name) (process \(node.process?.pid ?? 0), SIGSTOP); `./cluster resume \(index)` lets it go on"
        )
    }
}

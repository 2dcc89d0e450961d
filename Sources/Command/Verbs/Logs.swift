import ArgumentParser
import Foundation

struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Shows the log of a local node.")

    @Argument(help: "Which: 2 for node-2.")
    var index: Int

    @Flag(name: [.customShort("f"), .long], help: "Goes on with what is written from now on.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "How many lines of what is there.")
    var lines = 100

    func run() throws {
        let home = ClusterHome()
        let log = home.log(try home.require(index, in: home.require()))
        guard lines >= 0 else { throw CommandFailure("--lines \(lines): expected 0 or more") }
        guard FileManager.default.fileExists(atPath: log) else { throw CommandFailure("there is no log yet: \(log)") }
        // `tail` takes the place of this process: it knows how to follow a file.
        let arguments = ["tail", "-n", String(lines)] + (follow ? ["-F"] : []) + ["--", log]
        signal(SIGPIPE, SIG_DFL)
        _ = withCStrings(arguments) { execvp("tail", $0) }
        throw CommandFailure("cannot run `tail`: \(String(cString: strerror(errno)))")
    }
}

import ArgumentParser
import Foundation

/// The command line, `apus VERB`; in the repository, `./cluster VERB` builds it first.
@main
struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "A distributed task queue without a broker.",
        usage: "apus <verb> [<arguments>]; in the repository: ./cluster <verb>",
        groupedSubcommands: [
            CommandGroup(
                name: "A cluster on this machine:",
                subcommands: [
                    Up.self, Down.self, Kill.self, Pause.self, Resume.self, Restart.self, Drain.self, Logs.self,
                    Drill.self,
                ]),
            CommandGroup(
                name: "Any cluster:",
                subcommands: [
                    Status.self, Submit.self, Get.self, Why.self, Events.self, List.self, Cancel.self, Retry.self,
                    DeadLetters.self, Workflow.self, Schedule.self, Workers.self, Queues.self, Publish.self,
                    Subscriptions.self, Recover.self,
                ]),
            CommandGroup(name: "One node:", subcommands: [NodeVerb.self, JournalVerb.self]),
        ])

    static func main() async {
        // A reader that goes away (`| head`) ends a verb by an error of the write, and a node's peer ends nothing.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            complain(failure.message)
            Foundation.exit(failure.code)
        } catch let error as SettingsError {
            complain("this node does not start: \(error)")
            Foundation.exit(78)  // EX_CONFIG of sysexits.h
        } catch let error as LaunchError {
            complain(error.description)
            Foundation.exit(1)
        } catch {
            exit(withError: error)
        }
    }
}

/// What went wrong, for the user who started this.
func complain(_ message: String) {
    FileHandle.standardError.write(Data(("apus: " + message + "\n").utf8))
}

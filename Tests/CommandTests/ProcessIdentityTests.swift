import Foundation
import Testing

@testable import Command

/// Processes that are started and signalled: the right ones, and only those.
struct ProcessIdentityTests {
    private func launch(_ script: String, log: String = "/dev/null") throws -> ProcessIdentity {
        try launchDetached("/bin/sh", ["-c", script], environment: ["PATH": "/usr/bin:/bin"], log: log)
    }

    @Test func aProcessIsRunningThenStoppedThenGone() async throws {
        let process = try launch("exec sleep 60")
        defer { process.signal(SIGKILL) }
        #expect(process.state == .running)
        process.signal(SIGSTOP)
        #expect(try await eventually(within: .seconds(5), every: .milliseconds(2)) { process.state == .stopped })
        process.signal(SIGCONT)
        #expect(try await eventually(within: .seconds(5), every: .milliseconds(2)) { process.state == .running })
        #expect(process.signal(SIGKILL))
        // Nobody has waited for it: it is a zombie, which counts as gone.
        #expect(try await eventually(within: .seconds(5), every: .milliseconds(2)) { process.state == .gone })
        #expect(!process.signal(SIGKILL))
        #expect(try await process.awaitEnd(for: .seconds(5)))
    }

    @Test func anotherProcessWithTheSameNumberIsNeverSignalled() throws {
        let process = try launch("exec sleep 60")
        defer { process.signal(SIGKILL) }
        for (ticks, boot) in [(process.startTicks + 1, process.boot), (process.startTicks, "another boot")] {
            let text = #"{"pid": \#(process.pid), "startTicks": \#(ticks), "boot": "\#(boot)"}"#
            let other = try JSONDecoder().decode(ProcessIdentity.self, from: Data(text.utf8))
            #expect(other.state == .gone)
            #expect(!other.signal(SIGKILL))
        }
        #expect(process.state == .running)
    }

    @Test func thereIsNoIdentityWithoutAProcess() {
        #expect(ProcessIdentity(pid: -1) == nil)
        #expect(ProcessIdentity(pid: getpid())?.state == .running)
    }

    @Test func aDetachedProcessHasNothingOfItsParent() async throws {
        let folder = try TemporaryFolder()
        let log = folder.path + "/log"
        // A descriptor that exec would not close by itself, as a shell may leave it.
        let leaked = open("/dev/zero", O_RDONLY)
        defer { close(leaked) }
        #expect(fcntl(leaked, F_SETFD, 0) == 0)

        let process = try launch(
            "ls -l /proc/$$/fd; cut -d' ' -f6 /proc/$$/stat; echo $$; kill -USR1 $$; sleep 60", log: log)
        #expect(try await process.awaitEnd(for: .seconds(5)), "SIGUSR1 has its default effect: it ends a process")
        let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(lines.contains { $0.contains("0 -> /dev/null") })
        #expect(lines.count { $0.hasSuffix(log) } == 2, "standard output and error: \(lines)")
        #expect(!lines.contains { $0.contains("/dev/zero") })
        #expect(lines.suffix(2).first == lines.last, "its session is its own: \(lines)")
    }

    @Test func whatCannotBeStartedIsAnError() {
        #expect(throws: LaunchError.self) {
            try launchDetached("/does/not/exist", [], environment: [:], log: "/dev/null")
        }
    }

    @Test func outputIsAppended() async throws {
        let folder = try TemporaryFolder()
        let log = folder.path + "/log"
        for text in ["one", "two"] {
            #expect(try await launch("echo \(text)", log: log).awaitEnd(for: .seconds(5)))
        }
        #expect(try String(contentsOfFile: log, encoding: .utf8) == "one\ntwo\n")
    }
}

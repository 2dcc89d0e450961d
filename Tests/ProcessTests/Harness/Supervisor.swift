import Foundation

@testable import Command

/// Ends what a test has started, however the test ends: also when its process crashes, is killed, or hits a time limit.
///
/// A shell in a session of its own reads lines from a named pipe: `process PID START-TICKS` and `namespace NAME`. The
/// end of the pipe is the end of the test: then it kills the processes that it was told of, if they are still the
/// same ones, removes the network namespaces (and with them what is plugged into them), and the test's folder.
/// (`PR_SET_PDEATHSIG` would not do: it fires when the *thread* that started a process ends.)
final class Supervisor: Sendable {
    let folder: String
    private let pipe: Int32
    private let shell: ProcessIdentity

    private static let script = """
        while read -r kind what ticks; do
            case $kind in
            process) list="$list $what:$ticks" ;;
            namespace) namespaces="$namespaces $what" ;;
            esac
        done < "$0/pipe"
        for entry in $list; do
            pid=${entry%%:*}
            now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)
            [ "$now" = "${entry#*:}" ] && kill -KILL "$pid"
        done
        for name in $namespaces; do ip netns delete "$name"; done
        rm -rf "$0"
        """

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "apus-cluster-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        guard mkfifo(folder + "/pipe", 0o600) == 0 else {
            throw HarnessError("mkfifo: \(String(cString: strerror(errno)))")
        }
        // For reading too, so that opening does not wait for the shell.
        pipe = open(folder + "/pipe", O_RDWR | O_CLOEXEC)
        guard pipe >= 0 else { throw HarnessError("open: \(String(cString: strerror(errno)))") }
        shell = try launchDetached(
            "/bin/sh", ["-c", Self.script, folder], environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"],
            log: "/dev/null")
    }

    /// From now on the process ends with the test.
    func adopt(_ process: ProcessIdentity) throws {
        guard tell("process \(process.pid) \(process.startTicks)") else {
            process.signal(SIGKILL)
            throw HarnessError("the supervisor's pipe is full or closed")
        }
    }

    /// From now on the network namespace goes with the test. It need not exist yet.
    func adopt(namespace: String) throws {
        guard tell("namespace \(namespace)") else { throw HarnessError("the supervisor's pipe is full or closed") }
    }

    private func tell(_ line: String) -> Bool {
        let bytes = Array((line + "\n").utf8)
        return write(pipe, bytes, bytes.count) == bytes.count
    }

    /// Kills what is left and removes the folder.
    func end() async throws {
        close(pipe)
        guard try await shell.awaitEnd(for: .seconds(20)) else { throw HarnessError("the supervisor does not end") }
    }
}

/// Something went wrong around a test, or what it waited for did not come.
struct HarnessError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

import Foundation

@testable import Command

/// A file system of a few megabytes that only the processes of a test see: a tmpfs in a mount namespace of its own,
/// which a sleeping process keeps alive. Its end is the end of both.
struct SmallDisk: Sendable {
    let folder: String
    private let holder: ProcessIdentity

    /// - Parameter folder: has to exist.
    init(_ folder: String, megabytes: Int, _ supervisor: Supervisor) async throws {
        self.folder = folder
        guard let unshare = findExecutable("unshare") else { throw HarnessError("unshare is not installed") }
        let log = supervisor.folder + "/disk-\(UUID().uuidString)"
        let script = """
            mount -t tmpfs -o size=\(megabytes)m tmpfs "$0" && echo mounted && exec sleep 900
            """
        holder = try launchDetached(
            unshare, ["--mount", "sh", "-c", script, folder],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"], log: log)
        try supervisor.adopt(holder)
        let isThere = try await eventually(within: .seconds(5), every: .milliseconds(10)) {
            guard holder.isAlive else { throw HarnessError("no small disk:\n" + lastLines(of: log, 3)) }
            return try String(contentsOfFile: log, encoding: .utf8).contains("mounted")
        }
        guard isThere else { throw HarnessError("no small disk:\n" + lastLines(of: log, 3)) }
    }

    /// What a command has to begin with to see it.
    var prefix: [String] {
        get throws {
            guard let nsenter = findExecutable("nsenter") else { throw HarnessError("nsenter is not installed") }
            return [nsenter, "--mount=/proc/\(holder.pid)/ns/mnt", "--"]
        }
    }

    /// The same folder as this process sees it.
    var outside: String { "/proc/\(holder.pid)/root" + folder }

    var freeBytes: Int {
        get throws {
            let attributes = try FileManager.default.attributesOfFileSystem(forPath: outside)
            return (attributes[.systemFreeSize] as? NSNumber)?.intValue ?? 0
        }
    }

    /// Why no such thing can be made here; nil if it can. Tried once.
    private static let hindrance = Task<String?, Never> {
        guard geteuid() == 0 else { return "only root may mount a small disk" }
        do {
            let supervisor = try Supervisor()
            do {
                _ = try await SmallDisk(supervisor.folder, megabytes: 1, supervisor)
            } catch {
                try await supervisor.end()
                throw error
            }
            try await supervisor.end()
            return nil
        } catch {
            return "mount namespaces are not to be had here: \(error)"
        }
    }

    static var arePermitted: Bool {
        get async {
            guard let reason = await hindrance.value else { return true }
            print("skipped: \(reason)")
            return false
        }
    }
}

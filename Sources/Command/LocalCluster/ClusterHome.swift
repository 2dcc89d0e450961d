import Foundation
import TaskHandlers

/// A sentence for the user, who can do something about it; the process ends with `code`.
struct CommandFailure: Error, CustomStringConvertible {
    var message: String
    var code: Int32 = 1
    var description: String { message }

    init(_ message: String, code: Int32 = 1) {
        self.message = message
        self.code = code
    }
}

/// The folder of a local cluster: `cluster.json`, `redis/`, and for every node `node-I/log` and `node-I/data`.
struct ClusterHome: Sendable {
    /// Absolute.
    let path: String

    /// `APUS_HOME`, or `.cluster` in the current folder.
    init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        let said = environment["APUS_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? ".cluster"
        path = URL(filePath: said).standardizedFileURL.path(percentEncoded: false)
    }

    var stateFile: String { path + "/cluster.json" }
    var lockFile: String { path + "/lock" }
    /// What the nodes sign callbacks with.
    var secretsFile: String { path + "/callback-secrets" }
    var redisFolder: String { path + "/redis" }
    /// Shared by the nodes: what one handler writes, another one can read.
    var workFolder: String { path + "/work" }
    func folder(_ node: ClusterState.Node) -> String { path + "/" + node.name }
    func log(_ node: ClusterState.Node) -> String { folder(node) + "/log" }
    func data(_ node: ClusterState.Node) -> String { folder(node) + "/data" }

    func create(_ folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// Nil if nothing was ever started here.
    func load() throws -> ClusterState? {
        guard FileManager.default.fileExists(atPath: stateFile) else { return nil }
        do {
            let state = try Self.decoder.decode(ClusterState.self, from: Data(contentsOf: URL(filePath: stateFile)))
            guard state.version == ClusterState.currentVersion else {
                throw CommandFailure(
                    "\(stateFile) was written by another version (\(state.version), expected "
                        + "\(ClusterState.currentVersion)): stop its processes with that version, then remove the folder"
                )
            }
            return state
        } catch let error as DecodingError {
            throw CommandFailure(
                "\(stateFile) cannot be understood (\(error)): stop its processes by hand and remove it")
        }
    }

    /// Replaces the file as a whole, so that a reader never sees half of it.
    func save(_ state: ClusterState) throws {
        try create(path)
        try Self.encoder.encode(state).write(to: URL(filePath: stateFile), options: .atomic)
    }

    /// Makes a secret to sign callbacks with, unless there is one.
    ///
    /// - Returns: whether it was made.
    func ensureSecrets() throws -> Bool {
        try create(path)
        let descriptor = open(secretsFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            if errno == EEXIST { return false }
            throw CommandFailure("cannot make \(secretsFile): \(String(cString: strerror(errno)))")
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try file.write(contentsOf: Data((WebhookSecrets.random() + "\n").utf8))
        return true
    }

    /// The state, for a verb that needs a cluster.
    func require() throws -> ClusterState {
        guard let state = try load(), !state.nodes.isEmpty else {
            throw CommandFailure("no cluster was started here (\(path)): `./cluster up 3` starts one", code: 2)
        }
        return state
    }

    func require(_ index: Int, in state: ClusterState) throws -> ClusterState.Node {
        if let node = state.node(index) { return node }
        let known = state.nodes.map { String($0.index) }.joined(separator: ", ")
        throw CommandFailure("there is no node \(index); there are: \(known)")
    }

    /// Holds a lock on the folder while `body` runs: two verbs that change the cluster never do at the same time.
    func exclusively<Result>(_ body: () async throws -> Result) async throws -> Result {
        try create(path)
        let descriptor = open(lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CommandFailure("cannot open \(lockFile): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let locked = try await eventually(within: .seconds(60), every: .milliseconds(50)) {
            flock(descriptor, LOCK_EX | LOCK_NB) == 0
        }
        guard locked else {
            throw CommandFailure("another verb has been working on \(path) for a minute: wait for it to end")
        }
        return try await body()
    }

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .secondsSince1970
        return encoder
    }

    private static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .secondsSince1970
        return decoder
    }
}

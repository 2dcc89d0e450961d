import ArgumentParser
import Foundation

/// Which cluster a client verb asks: the one at `--node`, else at `APUS_URL`, else the local one.
struct ClientOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("A node of any cluster, as http://HOST:PORT.", valueName: "url"))
    var node: String?

    func client() throws -> ClusterClient {
        if let url = node ?? ProcessInfo.processInfo.environment["APUS_URL"], !url.isEmpty {
            return ClusterClient(nodes: [try Self.normalized(url)])
        }
        return ClusterClient(nodes: try ClusterHome().require().nodes.map(\.url))
    }

    var isLocal: Bool { node == nil && (ProcessInfo.processInfo.environment["APUS_URL"] ?? "").isEmpty }

    /// `host:port` is read as `http://host:port`; a slash at the end is dropped.
    static func normalized(_ text: String) throws -> String {
        let url = text.contains("://") ? text : "http://" + text
        guard let parts = URLComponents(string: url), parts.scheme == "http" || parts.scheme == "https",
            let host = parts.host, !host.isEmpty, parts.path.isEmpty || parts.path == "/", parts.query == nil
        else { throw CommandFailure("`\(text)` is no address of a node: expected http://HOST:PORT", code: 2) }
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }
}

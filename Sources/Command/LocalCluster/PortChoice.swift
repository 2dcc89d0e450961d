/// Which HTTP ports `up` gives to new nodes.
enum PortChoice: Equatable, Sendable {
    /// 8000 for node 1, 8001 for node 2, and so on; one that is taken is an error.
    case fixed(from: UInt16)
    /// The first free ones from 8000 up.
    case automatic

    static let standard = PortChoice.fixed(from: 8000)

    /// `auto`, or the port of node 1.
    init?(argument: String) {
        if argument == "auto" {
            self = .automatic
        } else if let port = UInt16(argument), port >= 1024, port < 65_000 {
            self = .fixed(from: port)
        } else {
            return nil
        }
    }

    /// The HTTP port for a node, given those that others have.
    func httpPort(index: Int, taken: Set<UInt16>) throws -> UInt16 {
        switch self {
        case .automatic:
            guard let port = Ports.firstFree(from: 8000, except: taken) else {
                throw CommandFailure("there is no free port from 8000 up")
            }
            return port
        case .fixed(let start):
            guard let port = UInt16(exactly: Int(start) + index - 1) else {
                throw CommandFailure("node-\(index) would need port \(Int(start) + index - 1), which does not exist")
            }
            try requireFree(port, for: "node-\(index)")
            guard !taken.contains(port) else {
                throw CommandFailure(
                    "port \(port), meant for node-\(index), belongs to another node of this cluster: try --ports auto")
            }
            return port
        }
    }
}

/// Throws an error that names the port, and who has it as far as can be seen.
func requireFree(_ port: UInt16, for node: String) throws {
    if Ports.isFree(port) { return }
    let holder = Ports.holder(of: port).map { "by \($0)" } ?? "by a program of another user"
    throw CommandFailure(
        "port \(port), meant for \(node), is taken \(holder): stop that program, or say `up --ports auto` to take free ports "
            + "(`up --ports 8100` to begin elsewhere)")
}

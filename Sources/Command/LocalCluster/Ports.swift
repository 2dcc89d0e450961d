import Foundation

/// Ports of the loopback address: which are free, and who has those that are not.
enum Ports {
    /// Whether a listener could be opened on 127.0.0.1 now, on TCP, and on UDP too if that is asked. Connections that linger
    /// after their end do not count.
    static func isFree(_ port: UInt16, udp: Bool = false) -> Bool {
        canBind(port, SOCK_STREAM) && (!udp || canBind(port, SOCK_DGRAM))
    }

    /// The first free port from `start` up that is not in `taken`; nil if there is none.
    static func firstFree(from start: UInt16, udp: Bool = false, except taken: Set<UInt16> = []) -> UInt16? {
        (start...UInt16.max).first { !taken.contains($0) && isFree($0, udp: udp) }
    }

    private static func canBind(_ port: UInt16, _ kind: __socket_type) -> Bool {
        let descriptor = socket(AF_INET, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        if kind == SOCK_STREAM {
            var yes: Int32 = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = loopback(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard bind(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 else { return false }
                // With SO_REUSEADDR two sockets may be bound, but not both listen.
                return kind != SOCK_STREAM || listen(descriptor, 1) == 0
            }
        }
    }

    static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    /// Who listens on a TCP port, as far as this user may see: `redis-server (process 812)`.
    static func holder(of port: UInt16) -> String? {
        let inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { listeners(in: $0, port: port) }
        guard !inodes.isEmpty else { return nil }
        let links = Set(inodes.map { "socket:[\($0)]" })
        for pid in entries("/proc").compactMap({ Int32($0) }).sorted() {
            for descriptor in entries("/proc/\(pid)/fd") {
                // The process may end, or close the descriptor, while we look.
                let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(descriptor)")
                guard let link, links.contains(link) else { continue }
                let program = try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)
                return "\(program?.trimmed ?? "a program") (process \(pid))"
            }
        }
        return nil
    }

    /// Inodes of the sockets that listen on `port`. Columns of the table: number, local address, remote address, state
    /// (0A: listening), ..., the tenth is the inode.
    private static func listeners(in table: String, port: UInt16) -> [Substring] {
        // Without IPv6 there is no second table.
        guard let text = try? String(contentsOfFile: table, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").dropFirst().compactMap { line in
            let columns = line.split(separator: " ")
            guard columns.count > 9, columns[3] == "0A", let colon = columns[1].lastIndex(of: ":"),
                UInt16(columns[1][columns[1].index(after: colon)...], radix: 16) == port
            else { return nil }
            return columns[9]
        }
    }

    private static func entries(_ folder: String) -> [String] {
        // Folders of other users' processes cannot be read: their sockets stay unknown.
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }
}

import Foundation

/// All frames of one interface (`AF_PACKET`, see packet(7)), each with what the kernel still has to do to it: a
/// checksum that is not computed yet, a segment that is to be split. Passing that on with the frame is what makes a
/// switch of them.
struct PacketSocket: Sendable {
    let descriptor: Int32

    /// `struct virtio_net_hdr`, before each frame.
    static let headerBytes = 10
    /// The greatest segment, with room for the headers.
    static let frameBytes = headerBytes + 65_536 + 128

    private static let allProtocols = UInt16(0x0003).bigEndian
    private static let level: Int32 = 263
    private static let withHeader: Int32 = 15
    private static let ignoreOutgoing: Int32 = 23

    /// In the namespace of the calling thread.
    init(interface: String) throws {
        descriptor = socket(AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("AF_PACKET: \(String(cString: strerror(errno)))") }
        do {
            var yes: Int32 = 1
            let size = socklen_t(MemoryLayout<Int32>.size)
            for option in [Self.withHeader, Self.ignoreOutgoing] {
                try check(setsockopt(descriptor, Self.level, option, &yes, size), "setsockopt \(option)")
            }
            var room: Int32 = 8 << 20
            for option in [SO_RCVBUFFORCE, SO_SNDBUFFORCE] {
                try check(setsockopt(descriptor, SOL_SOCKET, option, &room, size), "setsockopt \(option)")
            }
            let index = if_nametoindex(interface)
            guard index > 0 else { throw HarnessError("there is no interface \(interface)") }
            // `struct sockaddr_ll`: family, protocol, interface; the rest is not for binding.
            var address = [UInt8](repeating: 0, count: 20)
            address.withUnsafeMutableBytes {
                $0.storeBytes(of: UInt16(AF_PACKET), as: UInt16.self)
                $0.storeBytes(of: Self.allProtocols, toByteOffset: 2, as: UInt16.self)
                $0.storeBytes(of: index, toByteOffset: 4, as: UInt32.self)
            }
            let bound = address.withUnsafeBytes { bytes in
                bytes.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, socklen_t(bytes.count)) }
            }
            try check(bound, "bind to \(interface)")
        } catch {
            close()
            throw error
        }
    }

    private func check(_ code: Int32, _ what: String) throws {
        guard code == 0 else { throw HarnessError("\(what): \(String(cString: strerror(errno)))") }
    }

    func close() { Glibc.close(descriptor) }
}

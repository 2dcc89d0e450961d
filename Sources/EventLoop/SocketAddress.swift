import CLibuv
import Glibc
import Primitives

/// Numeric addresses between the form of this project and that of the system.
enum SocketAddress {
    /// The system's form of a numeric IPv4 or IPv6 address.
    static func encode(_ address: Address) throws(SystemError) -> sockaddr_storage {
        var storage = sockaddr_storage()
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            let raw = UnsafeMutableRawPointer(pointer)
            return if address.host.utf8.contains(UInt8(ascii: ":")) {
                uv_ip6_addr(address.host, Int32(address.port), raw.assumingMemoryBound(to: sockaddr_in6.self))
            } else {
                uv_ip4_addr(address.host, Int32(address.port), raw.assumingMemoryBound(to: sockaddr_in.self))
            }
        }
        guard result == 0 else {
            throw SystemError(
                operation: "use the address \(address)", code: -result,
                advice: "an IPv4 or IPv6 address in digits is expected here")
        }
        return storage
    }

    /// Nil for anything but IPv4 and IPv6.
    static func decode(_ pointer: UnsafePointer<sockaddr>) -> Address? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN) + 1) { text in
            text.initialize(repeating: 0)
            let raw = UnsafeRawPointer(pointer)
            let port: UInt16
            switch Int32(pointer.pointee.sa_family) {
            case AF_INET:
                let ip4 = raw.assumingMemoryBound(to: sockaddr_in.self)
                guard uv_ip4_name(ip4, text.baseAddress, text.count) == 0 else { return nil }
                port = UInt16(bigEndian: ip4.pointee.sin_port)
            case AF_INET6:
                let ip6 = raw.assumingMemoryBound(to: sockaddr_in6.self)
                guard uv_ip6_name(ip6, text.baseAddress, text.count) == 0 else { return nil }
                port = UInt16(bigEndian: ip6.pointee.sin6_port)
            default:
                return nil
            }
            let length = text.firstIndex(of: 0) ?? 0
            let host = text.withMemoryRebound(to: UInt8.self) { String(decoding: $0[..<length], as: UTF8.self) }
            return Address(host: host, port: port)
        }
    }

    static func decode(_ storage: sockaddr_storage) -> Address? {
        withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { decode($0) } }
    }
}

/// Calls `body` with the pointer that the functions of sockets want.
func withSocketAddress<Result>(_ storage: sockaddr_storage, _ body: (UnsafePointer<sockaddr>) -> Result) -> Result {
    withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
}

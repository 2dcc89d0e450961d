import Glibc
import NIOCore

/// Which addresses the handlers of a node may connect to. Whoever can submit tasks could else have a node ask what only
/// this node can reach (server-side request forgery).
///
/// What counts is the address that a connection really has, after names were resolved: no name that changes its address in
/// between gets past it. Nothing is sent before.
///
/// | | `private` | `public` | `any` |
/// | --- | --- | --- | --- |
/// | link-local (169.254.0.0/16, fe80::/10), where clouds tell machines their secrets, and such addresses elsewhere | no | no | yes |
/// | multicast, broadcast, "this network" but 0.0.0.0 | no | no | yes |
/// | loopback, private (RFC 1918, fc00::/7), shared (100.64.0.0/10), 0.0.0.0 | yes | no | yes |
/// | all others | yes | yes | yes |
///
/// An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as itself.
public enum OutboundReach: String, Sendable, CaseIterable {
    case `private`
    case `public`
    case any

    /// Why a connection to the address is refused, as the end of a sentence that names it; nil: it is not.
    func refusal(of address: SocketAddress) -> String? {
        if self == .any { return nil }
        switch address {
        case .v4(let address):
            return refusal(v4: withUnsafeBytes(of: address.address.sin_addr) { Array($0) })
        case .v6(let address):
            return refusal(v6: withUnsafeBytes(of: address.address.sin6_addr) { Array($0) })
        case .unixDomainSocket: return "is no address on a network"
        }
    }

    /// Four bytes.
    func refusal(v4 bytes: [UInt8]) -> String? {
        if self == .any { return nil }
        switch (bytes[0], bytes[1], bytes[2], bytes[3]) {
        case (169, 254, _, _): return "is link-local"
        // The metadata of Alibaba Cloud and of Azure.
        case (100, 100, 100, 200), (168, 63, 129, 16): return "tells machines of a cloud about themselves"
        case (224...255, _, _, _): return "is multicast or reserved"
        case (0, let b, let c, let d) where (b, c, d) != (0, 0, 0): return "is reserved"
        case (0, _, _, _), (127, _, _, _): return self == .public ? "is this machine" : nil
        case (10, _, _, _), (172, 16...31, _, _), (192, 168, _, _), (100, 64...127, _, _):
            return self == .public ? "is private" : nil
        default: return nil
        }
    }

    /// Sixteen bytes.
    func refusal(v6 bytes: [UInt8]) -> String? {
        if self == .any { return nil }
        if let inner = Self.v4(in: bytes) { return refusal(v4: inner) }
        switch (bytes[0], bytes[1]) {
        case (0xFE, 0x80...0xBF): return "is link-local"
        // The metadata of AWS.
        case (0xFD, 0x00) where bytes == [0xFD, 0x00, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54]:
            return "tells machines of a cloud about themselves"
        case (0xFF, _): return "is multicast"
        case (0xFC...0xFD, _), (0xFE, 0xC0...0xFF): return self == .public ? "is private" : nil
        case (0, 0) where bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] <= 1:
            return self == .public ? "is this machine" : nil
        default: return nil
        }
    }

    private static func v4(in bytes: [UInt8]) -> [UInt8]? {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        let translated: [UInt8] = [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]
        if bytes.starts(with: mapped) || bytes.starts(with: translated) { return Array(bytes[12...]) }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return Array(bytes[2..<6]) }
        return nil
    }
}

import Peers
import Primitives

/// A frame on its way, and what it is.
struct VirtualEnvelope {
    enum Kind { case hello(VirtualHello), goodbye, message, request, response }

    let kind: Kind
    var number: UInt32 = 0
    var frame = Frame(0, [])
}

/// What travels at once over a connection.
struct VirtualSegment {
    var envelopes: [VirtualEnvelope] = []
    /// Nothing comes after it.
    var isLast = false
}

extension Frame {
    /// What it takes in a queue.
    var countedBytes: Int { body.count + 16 }
}

extension VirtualSegment {
    var countedBytes: Int {
        envelopes.reduce(0) { sum, envelope in
            switch envelope.kind {
            case .hello, .goodbye: sum
            case .message, .request, .response: sum + envelope.frame.countedBytes
            }
        }
    }

    /// For the trace: how many frames, of which tags, how long.
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { raw in
            var hash = UInt64(raw.count)
            var offset = 0
            while offset + 8 <= raw.count {
                hash = (hash ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9E37_79B9_7F4A_7C15
                hash ^= hash >> 32
                offset += 8
            }
            while offset < raw.count {
                hash = (hash ^ UInt64(raw[offset])) &* 0x0000_0100_0000_01B3
                offset += 1
            }
            return hash
        }
    }

    /// Of the content as well: two runs of a seed have to say the same, not only as much.
    var digest: UInt64 {
        var digest = UInt64(envelopes.count)
        for envelope in envelopes {
            digest = digest &* 31 &+ UInt64(envelope.frame.tag) << 20 ^ Self.hash(envelope.frame.body)
        }
        return digest & 0xFFFF_FFFF
    }
}

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
    var digest: UInt64 {
        var digest = UInt64(envelopes.count)
        for envelope in envelopes {
            digest =
                digest &* 31 &+ UInt64(envelope.frame.tag) << 20 ^ UInt64(truncatingIfNeeded: envelope.frame.body.count)
        }
        return digest & 0xFFFF_FFFF
    }
}

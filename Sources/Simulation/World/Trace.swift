import Glibc
import Primitives

/// What becomes of a trace.
package enum TraceOutput: Sendable {
    /// Only its hash is kept.
    case hash
    /// A line for each event as well, on standard error.
    case text
}

/// What happened, folded into 64 bits: two runs of the same world are the same if their hashes are.
///
/// An event is folded as its time, whose it was, what kind, and a word that says more (a length, a checksum). The
/// mixing is FNV-1a on whole words, with a shift so that high bits reach low ones.
package struct Trace: Sendable {
    package enum Kind: UInt8, Sendable {
        case world, timer, slice, pool, datagram, connect, segment, disk, registry
        case start, crash, pause, resume, handler, client, unreachable, turn
    }

    package private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    package let output: TraceOutput

    package init(_ output: TraceOutput) { self.output = output }

    @inline(__always)
    mutating func fold(_ word: UInt64) {
        hash = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
    }

    @inline(__always)
    mutating func fold(_ kind: Kind, node: Int, at now: Instant, _ detail: UInt64 = 0) {
        fold(UInt64(bitPattern: now.nanoseconds))
        fold(UInt64(kind.rawValue) << 56 | UInt64(truncatingIfNeeded: node & 0xFF_FFFF) << 32 ^ detail)
        if case .text = output { write("\(kind)", node: node, at: now, String(detail, radix: 16)) }
    }

    /// Only into the text.
    func note(_ what: @autoclosure () -> String, node: Int, at now: Instant) {
        if case .text = output { write(what(), node: node, at: now, "") }
    }

    private func write(_ what: String, node: Int, at now: Instant, _ detail: String) {
        let seconds = now.nanoseconds / 1_000_000_000
        let fraction = String(1_000_000_000 + now.nanoseconds % 1_000_000_000).dropFirst()
        let line = "\(seconds).\(fraction) \(node < 0 ? "-" : String(node)) \(what) \(detail)\n"
        // A line that cannot be written is lost, and the hash is not.
        _ = line.utf8.withContiguousStorageIfAvailable { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

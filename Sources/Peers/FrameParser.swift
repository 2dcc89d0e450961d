import NIOCore
import Primitives

/// What a frame is for.
public enum FrameKind: UInt8, Hashable, Sendable, CaseIterable {
    /// The first frame in both directions.
    case hello = 1
    /// The sender is about to close the link, and is well.
    case goodbye = 2
    /// From the dialler: answer with a response of the same number.
    case request = 3
    case response = 4
    /// From the dialler: no answer.
    case message = 5
}

/// A frame with its envelope:
///
///     u32 length of what follows · u8 kind · u16 tag · u32 number · body
///
/// The number ties a response to its request; it is 0 otherwise, as is the tag of hello and goodbye.
struct Envelope: Hashable, Sendable {
    static let lengthBytes = 4
    /// Kind, tag and number.
    static let headBytes = 7
    /// What a frame adds to its body.
    static let overheadBytes = lengthBytes + headBytes
    static let longestBody = Limits.frameBytes - headBytes

    var kind: FrameKind
    var number: UInt32
    var frame: Frame
}

extension Frame {
    /// What the frame takes on the wire.
    var queuedBytes: Int { Envelope.overheadBytes + body.count }
}

extension ByteBuffer {
    mutating func write(_ kind: FrameKind, number: UInt32, _ frame: Frame) {
        writeMultipleIntegers(
            UInt32(Envelope.headBytes + frame.body.count), kind.rawValue, frame.tag, number,
            as: (UInt32, UInt8, UInt16, UInt32).self)
        writeBytes(frame.body)
    }
}

/// Cuts a stream of bytes into frames. Input is untrusted: a length is judged before anything is kept for it, and a
/// frame occupies memory only as its bytes arrive.
struct FrameParser {
    /// Frames may be this long until the other side has said who it is.
    var limit = Limits.helloBytes
    private var buffer = ByteBuffer()

    /// Bytes that wait for the rest of their frame.
    var heldBytes: Int { buffer.readableBytes }

    mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole frame, or nil if more bytes are needed. After an error the stream cannot be read on.
    mutating func next() throws(Violation) -> Envelope? {
        let start = buffer.readerIndex
        guard let length = buffer.getInteger(at: start, as: UInt32.self) else { return nil }
        guard length >= Envelope.headBytes, length <= limit else { throw .frameLength(length) }
        if let code = buffer.getInteger(at: start + Envelope.lengthBytes, as: UInt8.self) {
            guard FrameKind(rawValue: code) != nil else { throw .unknownKind(code) }
        }
        guard buffer.readableBytes >= Envelope.lengthBytes + Int(length),
            let (_, code, tag, number) = buffer.readMultipleIntegers(as: (UInt32, UInt8, UInt16, UInt32).self),
            let kind = FrameKind(rawValue: code),
            let body = buffer.readBytes(length: Int(length) - Envelope.headBytes)
        else { return nil }
        // Gives the memory back: a long frame may have been the only one for hours.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        return Envelope(kind: kind, number: number, frame: Frame(tag, body))
    }
}

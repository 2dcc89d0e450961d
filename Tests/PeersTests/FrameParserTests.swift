import NIOCore
import Primitives
import Testing

@testable import Peers

@Suite struct FrameParserTests {
    static func bytes(_ kind: FrameKind, number: UInt32, _ frame: Frame) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.write(kind, number: number, frame)
        return Array(buffer.readableBytesView)
    }

    static func open() -> FrameParser {
        var parser = FrameParser()
        parser.limit = Limits.frameBytes
        return parser
    }

    @Test func goldenBytes() throws {
        let bytes: [UInt8] = [0, 0, 0, 10, 3, 0x12, 0x34, 0xA1, 0xB2, 0xC3, 0xD4, 7, 8, 9]
        #expect(Self.bytes(.request, number: 0xA1B2_C3D4, Frame(0x1234, [7, 8, 9])) == bytes)
        #expect(FrameKind.allCases.map(\.rawValue) == [1, 2, 3, 4, 5])
        var parser = Self.open()
        parser.append(ByteBuffer(bytes: bytes))
        #expect(
            try parser.next() == Envelope(kind: .request, number: 0xA1B2_C3D4, frame: Frame(0x1234, [7, 8, 9])))
        #expect(try parser.next() == nil)
    }

    @Test func framesAreFoundHoweverTheStreamIsCut() throws {
        let frames = (0..<40).map { index in
            Envelope(
                kind: FrameKind.allCases[index % 5], number: UInt32(index),
                frame: Frame(UInt16(index), [UInt8](repeating: UInt8(index), count: index * index)))
        }
        let stream = frames.flatMap { Self.bytes($0.kind, number: $0.number, $0.frame) }
        for seed in 0..<50 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var parser = Self.open()
            var rest = stream[...]
            var found: [Envelope] = []
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 1...(seed < 10 ? 3 : 3000), using: &random))
                parser.append(ByteBuffer(bytes: rest.prefix(count)))
                rest = rest.dropFirst(count)
                while let envelope = try parser.next() { found.append(envelope) }
            }
            #expect(found == frames)
            #expect(parser.heldBytes == 0)
        }
    }

    @Test(arguments: [0, 6, UInt32(Limits.frameBytes + 1), .max] as [UInt32])
    func lengthsOutsideTheLimitsAreRefused(length: UInt32) {
        var parser = Self.open()
        parser.append(ByteBuffer(integer: length))
        #expect(throws: Violation.frameLength(length)) { try parser.next() }
    }

    @Test func framesAreShortUntilTheHello() throws {
        var parser = FrameParser()
        parser.append(ByteBuffer(integer: UInt32(Limits.helloBytes + 1)))
        #expect(throws: Violation.frameLength(UInt32(Limits.helloBytes + 1))) { try parser.next() }
    }

    @Test func theLongestFramePasses() throws {
        let frame = Frame(1, [UInt8](repeating: 1, count: Envelope.longestBody))
        var parser = Self.open()
        parser.append(ByteBuffer(bytes: Self.bytes(.message, number: 0, frame)))
        #expect(try parser.next()?.frame.body.count == Envelope.longestBody)
    }

    @Test(arguments: [0, 6, 255] as [UInt8]) func unknownKindsAreRefusedBeforeTheirBody(kind: UInt8) {
        var parser = Self.open()
        parser.append(ByteBuffer(bytes: [0, 0, 1, 0, kind]))
        #expect(throws: Violation.unknownKind(kind)) { try parser.next() }
    }

    /// Neither traps nor keeps more than one frame may take.
    @Test(arguments: 0..<100 as Range<UInt64>) func garbage(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var parser = Self.open()
        parser.limit = 4096
        do {
            for _ in 0..<200 {
                var bytes = [UInt8](repeating: 0, count: Int.random(in: 1...64, using: &random))
                for index in bytes.indices where Bool.random(using: &random) {
                    bytes[index] = UInt8.random(in: 0...12, using: &random)
                }
                parser.append(ByteBuffer(bytes: bytes))
                while try parser.next() != nil {}
                #expect(parser.heldBytes <= 4096 + Envelope.lengthBytes)
            }
        } catch {
            #expect(throws: error) { try parser.next() }
        }
    }
}

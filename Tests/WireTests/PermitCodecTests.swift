import Primitives
import Testing
import Views
import Wire

@Suite struct PermitCodecTests {
    @Test func golden() throws {
        let asker = NodeID(name: try #require(NodeName("n")), generation: Generation(7))
        let request = PermitRequest(asker: asker, view: 300, number: 2)
        let requestHex = "016e" + "0000000000000007" + "ac02" + "02"
        #expect(LedgerCodecGoldenTests.hex { $0.permitRequest(request) } == requestHex)
        var writer = ByteWriter()
        writer.permitRequest(request)
        var reader = ByteReader(writer.bytes)
        #expect(try reader.permitRequest() == request)
        try reader.finish()

        let verdicts: [(PermitVerdict, String)] = [
            (.granted, "01"), (.withheld, "02"), (.outdated(newest: 128), "03" + "8001"),
        ]
        for (verdict, hex) in verdicts {
            let reply = PermitReply(number: 5, disk: StoreID(9), verdict: verdict)
            #expect(LedgerCodecGoldenTests.hex { $0.permitReply(reply) } == "05" + "0000000000000009" + hex)
            var writer = ByteWriter()
            writer.permitReply(reply)
            var reader = ByteReader(writer.bytes)
            #expect(try reader.permitReply() == reply)
            try reader.finish()
        }
        #expect(throws: WireError.invalid("verdict about a permit")) {
            var reader = ByteReader([5, 0, 0, 0, 0, 0, 0, 0, 9, 4])
            _ = try reader.permitReply()
        }
    }
}

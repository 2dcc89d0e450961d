import Primitives
import TaskLedger
import Testing

@testable import Wire

@Suite struct ClaimCodecTests {
    private static let claim = PermitClaim(
        queue: "q", view: 5, number: 300, wanted: 2, unused: 1, held: [.init(ledger: LedgerID(1), count: 4)])
    private static let claimBytes: [UInt8] = [1, 0x71, 0, 0, 0, 0, 0, 0, 0, 5, 0xAC, 2, 2, 1, 1, 1, 4]

    @Test func claimsAndLoansHaveTheirGoldenBytes() throws {
        var writer = ByteWriter()
        writer.permitClaim(Self.claim)
        #expect(writer.bytes == Self.claimBytes)
        var reader = ByteReader(Self.claimBytes)
        #expect(try reader.permitClaim() == Self.claim)
        for length in 0..<Self.claimBytes.count {
            #expect(throws: WireError.self) {
                var reader = ByteReader(Array(Self.claimBytes[..<length]))
                _ = try reader.permitClaim()
            }
        }
        for (loan, golden) in [
            (PermitLoan(number: 300, permits: 7), [0xAC, 2, 7, 0]),
            (PermitLoan(number: 1, permits: 0, shortage: .learning), [1, 0, 3]),
        ] as [(PermitLoan, [UInt8])] {
            var writer = ByteWriter()
            writer.permitLoan(loan)
            #expect(writer.bytes == golden)
            var reader = ByteReader(golden)
            #expect(try reader.permitLoan() == loan)
        }
    }

    @Test func nonsenseIsRefused() {
        var bytes = Self.claimBytes
        bytes[1] = 0x20
        #expect(throws: WireError.self) {
            var reader = ByteReader(bytes)
            _ = try reader.permitClaim()
        }
        for bad in [[1, 0, 9], [1, 0x91, 0x4E, 0]] as [[UInt8]] {
            #expect(throws: WireError.self) {
                var reader = ByteReader(bad)
                _ = try reader.permitLoan()
            }
        }
    }
}

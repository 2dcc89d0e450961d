import Primitives
import Testing

@testable import Membership

@Suite struct MemberTableTests {
    func record(_ text: String, _ state: MemberState, since: Int64 = 0) -> MemberRecord {
        MemberRecord(id: id(text), profile: profile(text), state: state, since: Instant(nanoseconds: since))
    }

    @Test func rowsAscendByNameAndTheLivingAreCounted() {
        var table = MemberTable()
        for text in ["c", "a", "b"] { table.put(record(text, .alive)) }
        table.put(record("b", .dead))
        #expect(table.rows.map(\.id.name.rawValue) == ["a", "b", "c"])
        #expect(table.livingCount == 2)
        #expect(table[name("b")]?.state == .dead)
        #expect(table[id("b", 11)] == nil)
        table.put(record("b", .alive))
        #expect(table.livingCount == 3)
    }

    @Test func theOldestTombstoneIsForgottenFirst() {
        var table = MemberTable()
        table.put(record("living", .alive, since: -1))
        for number in 0...MembershipLimits.tombstones {
            table.put(record("n\(number)", number % 2 == 0 ? .dead : .left, since: Int64(1000 - number)))
        }
        #expect(table.rows.count == MembershipLimits.tombstones + 1)
        #expect(table[name("n\(MembershipLimits.tombstones)")] == nil)
        #expect(table[name("n0")] != nil)
        #expect(table.livingCount == 1)
    }
}

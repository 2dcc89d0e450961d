import EventLoop
import Foundation
import Primitives
import Testing

@testable import Journal

struct InspectionTests {
    @Test func anEmptyFolderIsSaidToBeEmpty() throws {
        let inspection = try JournalInspection(MemoryVolume(VirtualScheduler()))
        #expect(inspection.text == "There is no journal here: a start begins an empty one.\n")
        #expect(inspection.owner == nil && inspection.refusal == nil)
    }

    @Test func aJournalIsShownSegmentBySegment() throws {
        let bench = try Bench(segmentBytes: 1024)
        for _ in 0..<3 {
            bench.append(bytes: 300)
            bench.scheduler.settle()
        }
        bench.journal.close { _ in }
        bench.scheduler.settle()
        #expect(
            try JournalInspection(bench.volume).text == """
                Journal of node-1, store 0123456789abcdef

                segment                   bytes  groups  records  in records  first written             last written
                journal-0000000000000001    856       2        2         600  2023-11-14T22:13:21.000Z  \
                2023-11-14T22:13:21.000Z
                journal-0000000000000002    548       2        1         300  2023-11-14T22:13:21.000Z  \
                2023-11-14T22:13:21.000Z

                No complete snapshot: the records begin with the first one ever
                Known to have been durable: up to journal-0000000000000002 offset 492
                Intact: a start goes on with it

                """)
        #expect(bench.volume.log.count == bench.volume.completed)
    }

    @Test func damageAndATornTailAreShownWithTheirPlaces() throws {
        let bench = try Bench()
        for _ in 0..<3 {
            bench.append(bytes: 100)
            bench.scheduler.settle()
        }
        let file = SegmentName.of(1)
        let content = try #require(bench.volume.contents[file])
        let size = 100 + GroupCodec.headerBytes + GroupCodec.recordHeaderBytes
        let operations = bench.volume.log.count

        bench.volume.set(file, content.dropLast(10))
        let torn = try JournalInspection(bench.volume)
        #expect(torn.tornTail == JournalCut(file: file, offset: 128 + 2 * size, bytes: size - 10))
        #expect(torn.refusal == nil)
        #expect(
            torn.text.contains(
                "A start cuts a torn tail: \(file) ends in \(size - 10) bytes, from offset \(128 + 2 * size)"))

        var damaged = content
        damaged[128 + size + 80] ^= 1
        bench.volume.set(file, damaged)
        let inspection = try JournalInspection(bench.volume)
        guard case .damaged(file, let offset, _) = inspection.refusal else {
            Issue.record("\(inspection.refusal as Any)")
            return
        }
        #expect(offset == 128 + size)
        #expect(inspection.segments[0].intactBytes == offset)
        #expect(inspection.segments[0].intactAfterFlaw == 128 + 2 * size)
        #expect(
            inspection.text.contains(
                "\(file) offset \(offset): the checksum of a group's body is wrong; the next intact group is at offset "
                    + "\(128 + 2 * size)\n"))
        #expect(inspection.text.contains("A start refuses it: \(file) is damaged at offset \(offset): "))
        #expect(bench.volume.log.count == operations, "an inspection changes nothing")
    }

    /// The bytes of a record changed in memory before the group's checksum was taken: a start sees it, and so does
    /// this.
    @Test func aRecordThatWasSpoiledInMemoryIsRefused() throws {
        let bench = try Bench()
        var group = [UInt8](repeating: 0, count: GroupCodec.headerBytes)
        GroupCodec.appendRecord([1, 2, 3, 4], to: &group)
        group[group.count - 1] ^= 1
        GroupCodec.seal(
            &group, kind: .records, count: 1, durable: JournalPosition(segment: 1, offset: 128),
            writtenAt: 1_700_000_000_000_000, snapshot: 0, place: GroupCodec.Place(store: owner.store, segment: 1),
            offset: 128)
        let file = SegmentName.of(1)
        bench.volume.set(file, (bench.volume.contents[file] ?? []) + group)
        #expect(try JournalInspection(bench.volume).refusal != nil)
        #expect(throws: JournalRefusal.self) { try Journal.recover(bench.volume, identity: owner, item: { _ in }) }
    }

    @Test func aDamagedJournalIsMovedAsideWhole() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let journal = try Journal.open(folder, on: loop, JournalSettings(segmentBytes: 1024))
                for number in 0..<20 {
                    let _: Bool = await loop.wait { done in
                        _ = journal.append(Entry.numbered(number).bytes)
                        journal.whenDurable(done)
                    }
                }
                let _: Bool = await loop.wait { journal.close($0) }
            }
            let volume = DiskVolume(folder)
            try volume.replaceNow("disk", with: [1])
            try volume.replaceNow("other", with: [2])
            let before = try volume.list()
            let time = Timestamp(milliseconds: 1_700_000_000_123)
            let moved = try volume.moveJournalAside(others: ["disk", "missing"], at: time)
            #expect(moved.folder == "damaged-20231114T221320.123Z")
            #expect(moved.files.sorted() == before.filter { $0 != "other" }.sorted())
            #expect(moved.files.first == "disk")
            #expect(try volume.list() == ["other"])
            let aside = DiskVolume(folder + "/" + moved.folder)
            #expect(try aside.list() == before.filter { $0 != "other" })
            #expect(try Journal.records(folder + "/" + moved.folder).count == 20)
            // A new one begins, also under another identity, and a second repair takes another folder.
            let other = StoreHolder(name: owner.name, store: StoreID(99))
            let recovered = try Journal.recover(volume, identity: other, item: { _ in })
            #expect(recovered.isNew)
            let again = try volume.moveJournalAside(others: [], at: time)
            #expect(again.folder == "damaged-20231114T221320.123Z-2")
            #expect(again.files == [])
        }
    }
}

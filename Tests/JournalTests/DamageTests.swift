import EventLoop
import Primitives
import Testing

@testable import Journal

/// What flipped bits and missing parts do to a start.
///
/// Each round lets other tests run: some of them measure time.
@Suite(.serialized) struct DamageTests {
    /// A journal of about 4 KiB in several segments, with a snapshot among them, as a loss of power would leave it.
    private func journal(closed: Bool) throws -> (MemoryVolume, numbered: Int) {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        let workload = Workload(segmentBytes: 1536, turns: 21, seed: 3, closes: closed, snapshotPeriod: 100)
        let tally = try workload.run(on: volume, scheduler, try Found(volume))
        #expect(tally.durable == tally.appended)
        return (volume, tally.appended)
    }

    private func bytes(_ volume: MemoryVolume) -> Int { volume.contents.values.reduce(0) { $0 + $1.count } }

    /// Where the last group begins: nothing names its end.
    private func lastGroup(_ volume: MemoryVolume) throws -> (file: String, range: Range<Int>, records: Int) {
        let check = try JournalCheck(volume, expected: owner, checkingRecords: true)
        let last = try #require(check.last)
        let content = try #require(volume.contents[last.file])
        return content.withUnsafeBytes { file in
            let place = GroupCodec.Place(store: owner.store, segment: last.number)
            var offset = SegmentHeader.bytes
            var result = (last.file, offset..<offset, 0)
            while offset < last.bytes, let group = try? GroupCodec.group(file, at: offset, place: place) {
                result = (last.file, offset..<group.end(from: offset), group.count)
                offset = group.end(from: offset)
            }
            return result
        }
    }

    /// Every bit of the journal: in what is named it is refused with the place, in the last group it is cut and
    /// reported. What is found is never another record, and never less than all but the last group.
    @Test(arguments: [true, false]) func everyFlippedBitIsDetected(closed: Bool) async throws {
        let (volume, numbered) = try journal(closed: closed)
        #expect((3500...6000).contains(bytes(volume)))
        let last = try lastGroup(volume)
        // A closed journal ends in a group without records, which names all that have some.
        #expect(closed ? last.records == 0 : last.records > 0)
        var refused = 0
        var cut = 0
        for (file, content) in volume.contents.sorted(by: { $0.key < $1.key }) {
            let isEmpty = content.count == SegmentHeader.bytes
            // A closed one differs in its last group only.
            let first = closed ? (file == last.file ? last.range.lowerBound : content.count) : 0
            for bit in first * 8..<content.count * 8 {
                await Task.yield()
                var flipped = content
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                let disk = volume.survivor(.everything, VirtualScheduler())
                disk.set(file, flipped)
                let isLast = file == last.file && last.range.contains(bit / 8)
                do {
                    let found = try Found(disk)
                    guard isLast || isEmpty else {
                        Issue.record("bit \(bit) of \(file) went unnoticed, \(found.numbered) of \(numbered) are found")
                        continue
                    }
                    let lost = isLast ? last.records : 0
                    if found.numbered != numbered - lost { Issue.record("\(found.numbered): bit \(bit) of \(file)") }
                    if isLast, found.journal.cut?.offset != last.range.lowerBound {
                        Issue.record("the cut is \(found.journal.cut as Any): bit \(bit) of \(file)")
                    }
                    cut += isLast ? 1 : 0
                } catch JournalRefusal.damaged(let refusedFile, let offset, _) {
                    refused += 1
                    guard !isLast, !isEmpty, refusedFile == file, offset <= bit / 8 else {
                        Issue.record("\(refusedFile) at \(offset) is refused: bit \(bit) of \(file)")
                        continue
                    }
                    // Refused is the group that has the bit, not one before it.
                    #expect(bit / 8 - offset < 1000)
                } catch {
                    Issue.record("\(error): bit \(bit) of \(file)")
                }
                if !disk.log.isEmpty, isLast == false, !isEmpty { Issue.record("a refused journal was changed") }
            }
        }
        #expect(cut == last.range.count * 8)
        #expect(closed || refused > 3000 * 8)
    }

    /// Every prefix of the last group: all before it is found, and what is there of it is cut.
    @Test func everyPrefixOfTheLastGroupIsCut() async throws {
        let (volume, numbered) = try journal(closed: false)
        let last = try lastGroup(volume)
        let content = try #require(volume.contents[last.file])
        for length in last.range {
            await Task.yield()
            let disk = volume.survivor(.everything, VirtualScheduler())
            disk.set(last.file, Array(content.prefix(length)))
            let found = try Found(disk)
            #expect(found.numbered == numbered - last.records, "\(length) bytes")
            let cut = length - last.range.lowerBound
            #expect(found.journal.cut?.bytes == (cut == 0 ? nil : cut), "\(length) bytes")
            #expect(disk.contents[last.file]?.count == last.range.lowerBound, "\(length) bytes")
        }
    }

    /// The end of a segment that is not the last: a later group says how long it was.
    @Test func aSegmentThatLostItsEndIsRefused() async throws {
        let (volume, _) = try journal(closed: true)
        let check = try JournalCheck(volume, expected: owner, checkingRecords: true)
        let segment = try #require(check.segments.first { $0.number + 1 == check.last?.number })
        let content = try #require(volume.contents[segment.file])
        for length in 0..<content.count {
            await Task.yield()
            let disk = volume.survivor(.everything, VirtualScheduler())
            disk.set(segment.file, Array(content.prefix(length)))
            let refusal = #expect(throws: JournalRefusal.self, "\(length) bytes") { try Found(disk) }
            guard case .damaged(segment.file, let offset, _) = refusal else {
                Issue.record("\(refusal as Any)")
                continue
            }
            #expect(offset <= length)
        }
    }

    /// Of the last group only the header came to the disk: it says that the one before was durable.
    @Test func theHeaderOfATornGroupNamesWhatWasDurable() throws {
        let (volume, numbered) = try journal(closed: false)
        let last = try lastGroup(volume)
        var content = try #require(volume.contents[last.file])
        content.removeLast(content.count - last.range.lowerBound - GroupCodec.headerBytes)
        let torn = volume.survivor(.everything, VirtualScheduler())
        torn.set(last.file, content)
        #expect(try Found(torn).numbered == numbered - last.records)
        content[last.range.lowerBound - 1] ^= 1
        volume.set(last.file, content)
        #expect(throws: JournalRefusal.self) { try Found(volume) }
    }

    /// Two groups in the first segment, and one, which nothing names, in the second.
    private func twoSegments() throws -> MemoryVolume {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        let journal = Journal(
            try Found(volume).journal, on: volume, scheduler: scheduler,
            settings: JournalSettings(segmentBytes: 1024), observe: { _ in })
        for _ in 0..<3 {
            #expect(journal.append([UInt8](repeating: 1, count: 300)))
            scheduler.settle()
        }
        return volume
    }

    /// Neither the last group of a segment nor the only one of the next, which would name it, is intact.
    @Test func damageBeforeASegmentThatHasBegunIsRefusedThoughNothingNamesIt() throws {
        let volume = try twoSegments()
        for (segment, offset) in [(UInt64(1), 128 + 364), (2, 128)] {
            let file = SegmentName.of(segment)
            var content = try #require(volume.contents[file])
            for index in offset..<content.count { content[index] = 0 }
            volume.set(file, content)
        }
        let refusal = #expect(throws: JournalRefusal.self) {
            try Journal.recover(volume, identity: owner, item: { _ in })
        }
        guard case .damaged("journal-0000000000000001", 492, _) = refusal else {
            Issue.record("\(refusal as Any)")
            return
        }
    }

    /// The header was synced before the group came: its damage is no torn write, although nothing names the group.
    @Test func aDamagedHeaderBeforeAGroupIsRefused() async throws {
        let volume = try twoSegments()
        let file = SegmentName.of(2)
        let content = try #require(volume.contents[file])
        for bit in 0..<SegmentHeader.bytes * 8 {
            await Task.yield()
            var flipped = content
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            volume.set(file, flipped)
            let refusal = #expect(throws: JournalRefusal.self) {
                try Journal.recover(volume, identity: owner, item: { _ in })
            }
            guard case .damaged(file, 0, _) = refusal else {
                Issue.record("bit \(bit): \(refusal as Any)")
                continue
            }
        }
        #expect(volume.contents[file]?.count == content.count)
    }

    @Test func aMissingSegmentIsRefused() throws {
        let (volume, _) = try journal(closed: true)
        let check = try JournalCheck(volume, expected: owner, checkingRecords: true)
        let last = try #require(check.last).number
        for segment in check.segments where segment.number < last {
            let disk = volume.survivor(.everything, VirtualScheduler())
            disk.delete(segment.file)
            let refusal = #expect(throws: JournalRefusal.self) { try Found(disk) }
            let from = segment.number == check.segments.first?.number ? 1 : segment.number
            #expect(refusal == .missing(from: from, to: segment.number))
            #expect(refusal?.description.contains(segment.file) == true)
        }
    }

    /// A block that the disk wrote to another place is no group there, although its checksums are right.
    @Test func aGroupInAnotherPlaceIsDamage() throws {
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        let journal = Journal(
            try Found(volume).journal, on: volume, scheduler: scheduler, settings: JournalSettings(), observe: { _ in })
        for number in 0..<3 {
            #expect(journal.append([UInt8](repeating: UInt8(number), count: 20)))
            scheduler.settle()
        }
        let file = SegmentName.of(1)
        var content = try #require(volume.contents[file])
        let size = GroupCodec.headerBytes + GroupCodec.recordHeaderBytes + 20
        let first = SegmentHeader.bytes..<SegmentHeader.bytes + size
        let second = first.upperBound..<first.upperBound + size
        content.replaceSubrange(second, with: content[first])
        volume.set(file, content)
        let refusal = #expect(throws: JournalRefusal.self) {
            try Journal.recover(volume, identity: owner, item: { _ in })
        }
        guard case .damaged(file, second.lowerBound, _) = refusal else {
            Issue.record("\(refusal as Any)")
            return
        }
    }

    /// A task may carry the bytes of a journal as its payload: behind a torn write they are not taken for groups.
    @Test func groupsWithinARecordNameNothing() throws {
        let (other, _) = try journal(closed: false)
        let payload = try #require(other.contents[try lastGroup(other).file])
        let scheduler = VirtualScheduler()
        let volume = MemoryVolume(scheduler)
        let journal = Journal(
            try Found(volume).journal, on: volume, scheduler: scheduler, settings: JournalSettings(), observe: { _ in })
        #expect(journal.append([1, 2, 3]))
        scheduler.settle()
        #expect(journal.append(payload))
        scheduler.settle()
        let file = SegmentName.of(1)
        let content = try #require(volume.contents[file])
        volume.set(file, content.dropLast(1))
        var records: [[UInt8]] = []
        let recovered = try Journal.recover(volume, identity: owner) { item in
            if case .record(let bytes, _, _) = item { records.append(Array(bytes)) }
        }
        #expect(records == [[1, 2, 3]])
        #expect(recovered.cut?.bytes == payload.count + GroupCodec.headerBytes + GroupCodec.recordHeaderBytes - 1)
    }
}

import EventLoop
import Glibc
import Journal
import Primitives
import Testing

@testable import Simulation

@Suite struct DiskTests {
    private func disk(_ seed: UInt64) -> VirtualDisk { VirtualDisk(settings: DiskSettings(), seed: seed) }

    private func apply(_ disk: VirtualDisk, _ operations: FileOperation...) throws {
        for operation in operations { try disk.apply(operation) }
    }

    @Test func what_was_synced_survives_every_loss_of_power() throws {
        for seed in UInt64(1)...200 {
            let disk = disk(seed)
            try apply(
                disk, .create("a", reserving: 0), .append("a", [1, 2, 3]), .sync("a"), .syncFolder,
                .append("a", [4, 5, 6]))
            disk.losePower()
            let bytes = try #require(disk.contents("a"), "seed \(seed)")
            #expect(bytes.starts(with: [1, 2, 3]) && bytes.count <= 6, "seed \(seed): \(bytes)")
        }
    }

    @Test func unsynced_writes_are_lost_kept_or_torn_and_all_of_it_happens() throws {
        var lengths: Set<Int> = []
        var contents: Set<[UInt8]> = []
        for seed in UInt64(1)...500 {
            let disk = disk(seed)
            try apply(disk, .create("a", reserving: 0), .syncFolder)
            for number in UInt8(1)...4 { try disk.apply(.append("a", [number, number, number])) }
            disk.losePower()
            let bytes = try #require(disk.contents("a"))
            lengths.insert(bytes.count)
            contents.insert(bytes)
            let whole: [UInt8] = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
            // Where something else is than was written, it is nothing: zeros.
            for (index, byte) in bytes.enumerated() { #expect(byte == whole[index] || byte == 0, "seed \(seed)") }
        }
        #expect(lengths == Set(0...12))
        #expect(contents.contains([1, 1, 1, 2, 0]))
    }

    @Test func a_truncation_that_was_not_synced_may_be_undone() throws {
        var contents: Set<[UInt8]> = []
        for seed in UInt64(1)...100 {
            let disk = disk(seed)
            try apply(
                disk, .create("a", reserving: 0), .append("a", [1, 2, 3, 4]), .sync("a"), .syncFolder,
                .truncate("a", to: 2), .append("a", [9]))
            #expect(disk.contents("a") == [1, 2, 9])
            #expect(disk.durableBytes(of: "a") == 2)
            disk.losePower()
            contents.insert(try #require(disk.contents("a")))
        }
        #expect(contents.isSuperset(of: [[1, 2, 3, 4], [1, 2], [1, 2, 9]]))
        #expect(contents.isSubset(of: [[1, 2, 3, 4], [1, 2], [1, 2, 9], [1, 2, 0]]))
    }

    @Test func names_are_lost_or_kept_until_the_folder_is_synced() throws {
        var seen: Set<String> = []
        for seed in UInt64(1)...200 {
            let disk = disk(seed)
            try apply(disk, .create("a", reserving: 0), .create("b", reserving: 0), .syncFolder)
            try apply(disk, .create("c", reserving: 0), .rename("a", to: "d"), .remove("b"))
            #expect(disk.files.map(\.name) == ["c", "d"])
            disk.losePower()
            seen.insert(disk.files.map(\.name).joined())
        }
        // Prefixes, and some that no order explains.
        #expect(seen.isSuperset(of: ["ab", "abc", "bcd", "cd"]))
        #expect(seen.contains("a") || seen.contains("bd") || seen.contains("d"))
    }

    @Test func the_end_of_a_process_loses_nothing_that_was_written() throws {
        let bench = Bench()
        let disk = disk(1)
        let volume = VirtualVolume(disk, process: bench.process)
        let notes = Notes()
        bench.process.execute {
            volume.perform([.create("a", reserving: 0), .append("a", [1, 2, 3])]) { _ in notes.add("done") }
        }
        bench.run(.seconds(1))
        var random = SeededGenerator(seed: 1)
        bench.process.die()
        volume.detach(&random)
        bench.process.runOut()
        #expect(notes.all == ["done"])
        #expect(disk.contents("a") == [1, 2, 3])
    }

    @Test func a_kill_carries_out_a_prefix_of_what_is_under_way_and_tells_everybody() throws {
        var seen: Set<[UInt8]?> = []
        for seed in UInt64(1)...200 {
            let bench = Bench(seed: seed)
            let disk = disk(seed)
            let volume = VirtualVolume(disk, process: bench.process)
            let notes = Notes()
            bench.process.execute {
                volume.perform([.create("a", reserving: 0), .append("a", [1, 2]), .append("a", [3])]) { result in
                    if case .failure = result { notes.add("first") }
                }
                volume.perform([.append("a", [4])]) { if case .failure = $0 { notes.add("second") } }
                volume.replace("v", with: [7]) { if case .failure = $0 { notes.add("replace") } }
                volume.replace("v", with: [8]) { if case .failure = $0 { notes.add("replace") } }
            }
            bench.run(.microseconds(20))
            #expect(notes.all == [])
            var random = SeededGenerator(seed: seed)
            bench.process.die()
            volume.detach(&random)
            bench.process.runOut()
            #expect(notes.all == ["first", "second", "replace", "replace"])
            seen.insert(disk.contents("a"))
            // What replaces a file is there as a whole, or not.
            #expect(disk.contents("v") == nil || disk.contents("v") == [7], "seed \(seed)")
        }
        #expect(seen == [nil, [], [1], [1, 2], [1, 2, 3]])
    }

    @Test func a_small_file_is_replaced_as_a_whole_or_not_at_all_whatever_happens() throws {
        var seen: Set<[UInt8]> = []
        for seed in UInt64(1)...200 {
            let bench = Bench(seed: seed)
            let disk = disk(seed)
            let volume = VirtualVolume(disk, process: bench.process)
            try volume.replaceNow("v", with: [1, 1])
            bench.process.execute { volume.replace("v", with: [2, 2, 2]) { _ in } }
            bench.run(.microseconds(Int64(seed) * 10))
            var random = SeededGenerator(seed: seed)
            bench.process.die()
            volume.detach(&random)
            bench.process.runOut()
            disk.losePower()
            let bytes = try #require(disk.contents("v"))
            #expect([[1, 1], [2, 2, 2]].contains(bytes), "seed \(seed)")
            seen.insert(bytes)
        }
        #expect(seen.count == 2)
    }

    @Test func calls_follow_each_other_and_only_the_newest_content_is_written() {
        let bench = Bench()
        let disk = disk(1)
        let volume = VirtualVolume(disk, process: bench.process)
        let notes = Notes()
        bench.process.execute {
            volume.perform([.create("a", reserving: 0)]) { _ in notes.add("created") }
            volume.perform([.append("a", [1]), .sync("a")]) { _ in notes.add("written") }
            volume.perform([.append("b", [1]), .append("a", [2])]) { result in
                if case .failure(let failure) = result { notes.add("\(failure.index) \(failure.error.code)") }
            }
            for byte in UInt8(1)...4 {
                volume.replace("v", with: [byte]) { _ in notes.add("v\(byte): \(disk.contents("v") ?? [])") }
            }
        }
        bench.run(.seconds(1))
        #expect(notes.all.filter { !$0.hasPrefix("v") } == ["created", "written", "0 \(ENOENT)"])
        #expect(notes.all.filter { $0.hasPrefix("v") } == ["v1: [1]", "v2: [4]", "v3: [4]", "v4: [4]"])
        #expect(disk.contents("a") == [1])
    }

    @Test func a_full_disk_refuses_what_was_not_reserved() throws {
        let disk = disk(1)
        disk.settings.capacity = 100
        try apply(disk, .create("a", reserving: 60), .append("a", [UInt8](repeating: 1, count: 50)))
        #expect(disk.usedBytes == 60)
        #expect(throws: SystemError(operation: "create b", code: ENOSPC)) {
            try disk.apply(.create("b", reserving: 41))
        }
        try apply(disk, .create("b", reserving: 0), .append("b", [UInt8](repeating: 2, count: 40)))
        // A write that does not fit is written as far as it does; what was reserved fits.
        try disk.apply(.append("a", [UInt8](repeating: 1, count: 10)))
        #expect(throws: SystemError.self) { try disk.apply(.append("b", [3])) }
        #expect(disk.contents("a")?.count == 60)
        #expect(disk.contents("b")?.count == 40)
        disk.settings.capacity = 102
        #expect(throws: SystemError.self) { try disk.apply(.append("b", [3, 3, 3])) }
        #expect(disk.contents("b")?.count == 42)
    }

    @Test(arguments: 0..<5) func the_nth_operation_fails_and_no_other(_ nth: Int) {
        let disk = disk(7)
        let operations: [FileOperation] = [
            .create("a", reserving: 0), .append("a", [1]), .sync("a"), .append("a", [2]), .syncFolder,
        ]
        disk.failOperation(after: nth)
        var failed: [Int] = []
        for (index, operation) in operations.enumerated() {
            do throws(SystemError) { try disk.apply(operation) } catch {
                failed.append(index)
                #expect(error.code == (index == nth ? EIO : ENOENT))
            }
        }
        #expect(failed.first == nth)
        #expect(nth == 0 || failed.count == 1)
    }

    @Test func what_a_failed_sync_left_no_later_sync_writes() throws {
        var lengths: Set<Int> = []
        for seed in UInt64(1)...100 {
            let disk = disk(seed)
            try apply(disk, .create("a", reserving: 0), .syncFolder, .append("a", [1, 2]))
            disk.failOperation(after: 0)
            #expect(throws: SystemError.self) { try disk.apply(.sync("a")) }
            try disk.apply(.sync("a"))
            disk.losePower()
            lengths.insert(disk.contents("a")?.count ?? -1)
        }
        #expect(lengths.contains(0))
    }

    @Test func bits_flip_where_they_are_told_to() throws {
        let disk = disk(3)
        try apply(
            disk, .create("a", reserving: 0), .append("a", [0, 0]), .sync("a"), .syncFolder, .append("a", [0, 0, 0]))
        var offsets: [VirtualDisk.Part: Set<Int>] = [:]
        for part in VirtualDisk.Part.allCases {
            for _ in 0..<100 {
                let before = try #require(disk.contents("a"))
                let flip = try #require(disk.flipBit(in: part))
                var expected = before
                expected[flip.offset] ^= 1 << UInt8(flip.bit)
                #expect(disk.contents("a") == expected)
                offsets[part, default: []].insert(flip.offset)
            }
        }
        #expect(offsets == [.durable: [0, 1], .unsynced: [2, 3, 4]])
        #expect(disk.flipBit(in: .durable, of: "b") == nil)
    }

    @Test func a_wiped_disk_is_empty() throws {
        let disk = disk(1)
        try apply(disk, .create("a", reserving: 5), .append("a", [1]), .sync("a"), .syncFolder)
        disk.wipe()
        #expect(disk.files.isEmpty)
        #expect(disk.usedBytes == 0)
        disk.losePower()
        #expect(disk.files.isEmpty)
    }
}

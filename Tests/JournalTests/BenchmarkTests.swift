import EventLoop
import Foundation
import Primitives
import Synchronization
import Testing

@testable import Journal

/// Figures, not checks: run with APUS_BENCH=1, in a release build.
@Suite(
    .serialized,
    .enabled(if: ProcessInfo.processInfo.environment["APUS_BENCH"] != nil, "a benchmark: set APUS_BENCH"))
struct BenchmarkTests {
    private func report(_ line: String) { print("bench: " + line) }

    /// 64 writers of records of 200 bytes, each of which appends the next one when the last is durable.
    @Test(arguments: [SyncPolicy.always, .interval(.milliseconds(100)), .never])
    func groupCommit(_ policy: SyncPolicy) async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let settings = JournalSettings(sync: policy)
                let journal = try Journal.open(folder, on: loop, settings)
                let record = [UInt8](repeating: 42, count: 200)
                let clock = ContinuousClock()
                let began = clock.now
                let end = began + .seconds(3)
                @Sendable func write() {
                    guard clock.now < end, journal.append(record) else { return }
                    journal.whenDurable { if $0 { write() } }
                }
                let status: JournalStatus = await loop.wait { done in
                    for _ in 0..<64 { write() }
                    _ = loop.schedule(after: .milliseconds(3200)) { done(journal.status) }
                }
                report(
                    "64 writers, \(policy): \(Int(Double(status.records) / 3)) entries/s, "
                        + "\(Int(status.meanRecordsPerGroup)) per group, \(status.syncs) syncs, "
                        + "worst \(status.worstSync)")
                let _: Bool = await loop.wait { journal.close($0) }
            }
        }
    }

    /// A journal of 256 MiB in records of 200 bytes, from the page cache.
    @Test func recovery() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let journal = try Journal.open(folder, on: loop, JournalSettings(sync: .never))
                let record = [UInt8](repeating: 42, count: 200)
                for _ in 0..<256 {
                    let isDurable: Bool = await loop.wait { done in
                        for _ in 0..<5000 { _ = journal.append(record) }
                        journal.whenDurable(done)
                    }
                    #expect(isDurable)
                }
                let _: Bool = await loop.wait { journal.close($0) }
            }
            var records = 0
            var recovered: RecoveredJournal?
            let took = try ContinuousClock().measure {
                recovered = try Journal.recover(DiskVolume(folder), identity: owner) { item in
                    if case .record = item { records += 1 }
                }
            }
            let bytes = recovered?.bytes ?? 0
            report(
                "recovery: \(records) records, \(bytes >> 20) MiB in \(took): "
                    + "\(Int(Double(bytes) / 1e6 / took.secondsValue)) MB/s")
            let inspecting = try ContinuousClock().measure { _ = try JournalInspection(DiskVolume(folder)) }
            report("inspection: \(Int(Double(bytes) / 1e6 / inspecting.secondsValue)) MB/s")
        }
    }

    @Test func checksum() {
        let bytes = (0..<64 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var sum: UInt32 = 0
        let took = ContinuousClock().measure { for _ in 0..<8 { sum ^= bytes.withUnsafeBytes { CRC32C.of($0) } &+ 1 } }
        report("CRC-32C: \(Int(Double(bytes.count * 8) / 1e6 / took.secondsValue)) MB/s (\(sum))")
    }
}

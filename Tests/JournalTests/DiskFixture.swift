import Dispatch
import EventLoop
import Foundation
import Primitives
import Synchronization
import Testing

@testable import Journal

/// A folder that is removed with everything in it.
func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }  // It lies in the temporary directory.
    return try await body(path)
}

/// Runs a test with a loop, which is shut down afterwards whatever the test does.
func withLoop<Value>(_ body: (EventLoop) async throws -> Value) async throws -> Value {
    let loop = try EventLoop(name: "test")
    loop.start()
    let result: Result<Value, any Error>
    do { result = .success(try await body(loop)) } catch { result = .failure(error) }
    await loop.shutdown()
    return try result.get()
}

extension EventLoop {
    /// Runs `body` on the loop and waits for what it hands to its argument, once.
    func wait<Value: Sendable>(_ body: @escaping @Sendable (@escaping @Sendable (Value) -> Void) -> Void) async -> Value
    {
        await withCheckedContinuation { continuation in
            execute { body { continuation.resume(returning: $0) } }
        }
    }
}

extension Journal {
    /// A journal on a real folder.
    static func open(
        _ folder: String, on loop: EventLoop, _ settings: JournalSettings = JournalSettings(segmentBytes: 1 << 20),
        calls: SystemCalls = SystemCalls(), observe: @escaping @Sendable (JournalEvent) -> Void = { _ in }
    ) throws -> Journal {
        let volume = DiskVolume(folder, on: loop, calls: calls)
        let recovered = try Journal.recover(volume, identity: owner, item: { _ in })
        return Journal(recovered, on: volume, scheduler: loop, settings: settings, observe: observe)
    }

    /// The records in a folder.
    static func records(_ folder: String) throws -> [[UInt8]] {
        var records: [[UInt8]] = []
        _ = try recover(DiskVolume(folder), identity: owner) { item in
            if case .record(let bytes, _, _) = item { records.append(Array(bytes)) }
        }
        return records
    }
}

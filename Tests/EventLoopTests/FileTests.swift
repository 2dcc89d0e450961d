import Foundation
import Glibc
import Testing

@testable import EventLoop

/// A directory that is removed with everything in it.
func withDirectory(_ body: (String) async throws -> Void) async throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }  // It lies in the temporary directory.
    try await body(path)
}

struct FileTests {
    @Test func aFileIsReplacedAsAWhole() async throws {
        try await withDirectory { directory in
            let path = directory + "/promise"
            #expect(try DurableFile.read(path, upTo: 100) == nil)
            try DurableFile.replace(path, with: [1, 2, 3])
            #expect(try DurableFile.read(path, upTo: 100) == [1, 2, 3])
            try DurableFile.replace(path, with: [])
            #expect(try DurableFile.read(path, upTo: 100) == [])
            let large = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
            try DurableFile.replace(path, with: large)
            #expect(try DurableFile.read(path, upTo: 100_000) == large)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["promise"])
        }
    }

    @Test func aFileOverTheLimitIsRefused() async throws {
        try await withDirectory { directory in
            try DurableFile.replace(directory + "/f", with: [UInt8](repeating: 0, count: 101))
            let error = #expect(throws: SystemError.self) { try DurableFile.read(directory + "/f", upTo: 100) }
            #expect(error?.code == EFBIG)
        }
    }

    @Test func aMissingDirectoryIsAnErrorThatNamesIt() async throws {
        try await withDirectory { directory in
            let path = directory + "/missing/f"
            let error = #expect(throws: SystemError.self) { try DurableFile.replace(path, with: [1]) }
            #expect(error?.code == ENOENT)
            #expect(error?.description.contains(path) == true)
        }
    }

    /// A directory at the file's place makes the rename fail: the old state stays, and nothing is left behind.
    @Test func aFailureLeavesNothingBehind() async throws {
        try await withDirectory { directory in
            let path = directory + "/f"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            #expect(throws: SystemError.self) { try DurableFile.replace(path, with: [1]) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["f"])
        }
    }

    @Test(.enabled(if: geteuid() != 0, "root may write to what is read-only"))
    func aReadOnlyDirectoryIsAnError() async throws {
        try await withDirectory { directory in
            chmod(directory, 0o500)
            defer { chmod(directory, 0o700) }
            let error = #expect(throws: SystemError.self) { try DurableFile.replace(directory + "/f", with: [1]) }
            #expect(error?.code == EACCES)
        }
    }

    /// Read-only for everybody, root included.
    @Test func aFileSystemThatTakesNoFilesIsAnError() async throws {
        #expect(throws: SystemError.self) { try DurableFile.replace("/proc/apus", with: [1]) }
    }

    @Test func reservedRoomIsTakenAndTheLengthStays() async throws {
        try await withDirectory { directory in
            let descriptor = try DurableFile.open(directory + "/f", O_RDWR | O_CREAT | O_CLOEXEC)
            defer { close(descriptor) }
            let result = DurableFile.reserve(1 << 20, for: descriptor)
            var status = stat()
            #expect(fstat(descriptor, &status) == 0)
            #expect(status.st_size == 0)
            #expect(result == 0 && status.st_blocks * 512 >= 1 << 20, "this file system reserves nothing")
            #expect(DurableFile.reserve(1, for: -1) == -1 && errno == EBADF)
        }
    }

    @Test func aDirectoryIsSynced() async throws {
        try await withDirectory { directory in
            try DurableFile.sync(directory: directory)
            let error = #expect(throws: SystemError.self) { try DurableFile.sync(directory: directory + "/missing") }
            #expect(error?.code == ENOENT)
        }
    }

    @Test func filesAreReplacedOffTheLoop() async throws {
        try await withDirectory { directory in
            try await withLoop { loop in
                let record = Record<Bool>()
                loop.execute {
                    let store = FileStore(on: loop)
                    for number in 0..<100 {
                        store.replaceFile(directory + "/f", with: [UInt8(number)]) { result in
                            if case .success = result { record.append(loop.isCurrent) }
                        }
                    }
                    store.replaceFile(directory + "/g", with: [1]) { _ in record.append(loop.isCurrent) }
                    #expect(record.values == [])
                }
                let told = try await record.wait(count: 101)
                #expect(told == [Bool](repeating: true, count: 101))
                let newest = try DurableFile.read(directory + "/f", upTo: 1)
                #expect(newest == [99])
                let other = try DurableFile.read(directory + "/g", upTo: 1)
                #expect(other == [1])
            }
        }
    }

    /// When a call is told, its bytes or later ones are in the file.
    @Test func completionsComeAfterTheirBytes() async throws {
        try await withDirectory { directory in
            try await withLoop { loop in
                let record = Record<Bool>()
                let store = FileStore(on: loop)
                for number in 0..<50 {
                    loop.execute {
                        store.replaceFile(directory + "/f", with: [UInt8(number)]) { _ in
                            // Throws if the file is not there, which fails the expectation below.
                            let present = (try? DurableFile.read(directory + "/f", upTo: 1))?.first
                            record.append(present.map { $0 >= UInt8(number) } ?? false)
                        }
                    }
                }
                let told = try await record.wait(count: 50)
                #expect(told == [Bool](repeating: true, count: 50))
            }
        }
    }

    @Test func aFailedReplacementIsToldAndTheNextOneWorks() async throws {
        try await withDirectory { directory in
            try await withLoop { loop in
                let record = Record<Int32>()
                let store = FileStore(on: loop)
                loop.execute {
                    store.replaceFile(directory + "/missing/f", with: [1]) { result in
                        if case .failure(let error) = result { record.append(error.code) }
                    }
                }
                #expect(try await record.wait(count: 1) == [ENOENT])
                try FileManager.default.createDirectory(
                    atPath: directory + "/missing", withIntermediateDirectories: true)
                loop.execute {
                    store.replaceFile(directory + "/missing/f", with: [1]) { result in
                        if case .success = result { record.append(0) }
                    }
                }
                #expect(try await record.wait(count: 2) == [ENOENT, 0])
            }
        }
    }

    @Test func waitersAreBounded() async throws {
        try await withDirectory { directory in
            try await withLoop { loop in
                let record = Record<Int32>()
                loop.execute {
                    let store = FileStore(on: loop)
                    for _ in 0..<FileStore.waiters + 2 {
                        store.replaceFile(directory + "/f", with: [1]) { result in
                            if case .failure(let error) = result { record.append(error.code) } else { record.append(0) }
                        }
                    }
                }
                let codes = try await record.wait(count: FileStore.waiters + 2)
                #expect(codes.filter { $0 == EBUSY }.count == 1)
                #expect(codes.filter { $0 == 0 }.count == FileStore.waiters + 1)
            }
        }
    }

    @Test func writesUnderWayEndBeforeTheShutdownDoes() async throws {
        try await withDirectory { directory in
            let loop = try EventLoop(name: "test")
            loop.start()
            let record = Record<String>()
            try await loop.run {
                let store = FileStore(on: loop)
                for name in ["a", "b", "c"] {
                    store.replaceFile(directory + "/" + name, with: [1]) { _ in record.append(name) }
                }
            }
            await loop.shutdown()
            #expect(record.values.sorted() == ["a", "b", "c"])
        }
    }

    @Test func aDirectoryIsLockedByOneOnly() async throws {
        try await withDirectory { directory in
            let lock = try DirectoryLock(directory)
            let conflict = #expect(throws: DirectoryLock.Conflict.self) { _ = try DirectoryLock(directory) }
            #expect(conflict?.holder == getpid())
            #expect(conflict?.description.contains("pid \(getpid())") == true)
            lock.release()
            lock.release()
            let again = try DirectoryLock(directory)
            again.release()
        }
    }

    @Test func aLockOfAnotherProcessNamesIt() async throws {
        try await withDirectory { directory in
            let holder = Process()
            holder.executableURL = URL(fileURLWithPath: "/bin/sh")
            holder.arguments = ["-c", "exec 9>\(directory)/lock; flock 9; echo $$ >&9; echo ready; read line"]
            let input = Pipe()
            let output = Pipe()
            holder.standardInput = input
            holder.standardOutput = output
            try holder.run()
            defer {
                holder.terminate()
                holder.waitUntilExit()
            }
            #expect(output.fileHandleForReading.availableData == Data("ready\n".utf8))
            let conflict = #expect(throws: DirectoryLock.Conflict.self) { _ = try DirectoryLock(directory) }
            #expect(conflict?.holder == holder.processIdentifier)
        }
    }

    @Test func aDirectoryThatIsMissingCannotBeLocked() async throws {
        #expect(throws: SystemError.self) { _ = try DirectoryLock("/nonexistent/apus") }
    }

    @Test func namesAreLookedUpOffTheLoop() async throws {
        try await withLoop { loop in
            let record = Record<[String]>()
            loop.execute {
                loop.resolve("127.0.0.1") { record.append((try? $0.get()) ?? []) }
                loop.resolve("localhost") { record.append((try? $0.get()) ?? []) }
                loop.resolve("name.invalid") { result in
                    guard case .failure(let error) = result else { return record.append(["found"]) }
                    record.append([error.description.contains("name.invalid") ? "failed" : "unnamed"])
                }
            }
            let answers = try await record.wait(count: 3)
            #expect(answers.contains(["127.0.0.1"]))
            #expect(answers.contains { $0 == ["failed"] })
            #expect(answers.contains { $0.contains("127.0.0.1") || $0.contains("::1") })
        }
    }
}

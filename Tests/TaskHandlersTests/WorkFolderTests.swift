import Foundation
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite struct WorkFolderTests {
    let work: Workspace
    let folder: WorkFolder

    init() throws {
        work = try Workspace()
        folder = WorkFolder(work.path + "/inner")
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: false)
        try work.write("secret".utf8, to: "secret")
    }

    @Test(arguments: [
        "", "/etc/passwd", "../secret", "a/../../secret", "a//b", "a/", "./a", ".", "..", "a\u{0}b",
        String(repeating: "x", count: 256),
        Array(repeating: "a", count: HandlerLimits.pathComponents + 1).joined(separator: "/"),
    ])
    func namesThatLeadElsewhereAreRefused(name: String) throws {
        let error = #expect(throws: HandlerError.self) { try folder.read(name, at: "file", upTo: 100) }
        #expect(error?.type == "invalid_payload")
        #expect(throws: HandlerError.self) { try folder.write([1], to: name, for: try work.attempt([])) }
        #expect(throws: HandlerError.self) { try folder.append([1], to: name, at: "file", upTo: 100) }
    }

    @Test func linksAreNotFollowed() throws {
        let files = FileManager.default
        try files.createSymbolicLink(atPath: folder.path + "/link", withDestinationPath: "../secret")
        try files.createSymbolicLink(atPath: folder.path + "/up", withDestinationPath: "..")
        for name in ["link", "up/secret"] {
            let error = #expect(throws: HandlerError.self) { try folder.read(name, at: "file", upTo: 100) }
            #expect(error?.type == "file_error")
            #expect(error?.isRetryable == false)
            #expect(throws: HandlerError.self) { try folder.append([1], to: name, at: "file", upTo: 100) }
        }
        #expect(throws: HandlerError.self) { try folder.write([1], to: "up/secret", for: try work.attempt([])) }
        // A link in the place of the output is replaced, not followed.
        try folder.write([1], to: "link", for: try work.attempt([]))
        #expect(try work.contents(of: "inner/link") == [1])
        #expect(try work.contents(of: "secret") == Array("secret".utf8))
    }

    @Test func onlyRegularFilesAreRead() throws {
        mkfifo(folder.path + "/pipe", 0o600)
        try FileManager.default.createDirectory(atPath: folder.path + "/folder", withIntermediateDirectories: false)
        for name in ["pipe", "folder"] {
            let error = #expect(throws: HandlerError.self) { try folder.read(name, at: "file", upTo: 100) }
            #expect(error?.message.contains("not a regular file") == true)
        }
    }

    @Test func aFileAboveTheLimitIsRefused() throws {
        try work.write([UInt8](repeating: 7, count: 100), to: "inner/data")
        #expect(try folder.read("data", at: "file", upTo: 100).count == 100)
        let error = #expect(throws: HandlerError.self) { try folder.read("data", at: "file", upTo: 99) }
        #expect(error?.type == "too_large")
    }

    @Test func aMissingFileSaysSo() throws {
        let error = #expect(throws: HandlerError.self) { try folder.read("a/b", at: "payload.input.file", upTo: 1) }
        #expect(error?.message.contains("payload.input.file") == true)
        #expect(error?.message.contains("No such file") == true)
    }

    @Test func writingReplacesAndLeavesNothingBeside() throws {
        try folder.write(Array("one".utf8), to: "out/a", for: try work.attempt([]))
        try folder.write(Array("two!".utf8), to: "out/a", for: try work.attempt([], attempt: 2))
        #expect(try work.contents(of: "inner/out/a") == Array("two!".utf8))
        #expect(try work.names(in: "inner/out") == ["a"])
    }

    @Test func aFailedWriteLeavesNothingBeside() throws {
        try FileManager.default.createDirectory(atPath: folder.path + "/out/a", withIntermediateDirectories: true)
        #expect(throws: HandlerError.self) { try folder.write([1], to: "out/a", for: try work.attempt([])) }
        #expect(try work.names(in: "inner/out") == ["a"])
    }
}

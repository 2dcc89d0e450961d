import Foundation
import TaskExecution

/// The folder in which handlers read and write files, and nothing outside of it.
///
/// Names are relative paths with `/`. They are opened component by component from the folder's descriptor, and no
/// symbolic link is followed on the way, so neither `..`, nor an absolute path, nor a link that somebody puts there
/// leads outside, also when the tree changes meanwhile. The folder itself is the operator's choice and may be a link.
struct WorkFolder: Sendable {
    let path: String

    init(_ path: String) { self.path = path }

    /// The components of `name`, if it is one that may be used.
    static func components(of name: String, _ place: String) throws(HandlerError) -> [String] {
        func refusal(_ why: String) -> HandlerError {
            .invalidPayload("\(place) is \"\(name)\": \(why); expected a relative path under the work folder")
        }
        if name.isEmpty { throw refusal("it is empty") }
        if name.utf8.first == UInt8(ascii: "/") { throw refusal("it is absolute") }
        let components = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if components.count > HandlerLimits.pathComponents {
            throw refusal("it has more than \(HandlerLimits.pathComponents) components")
        }
        for component in components {
            if component.isEmpty || component == "." || component == ".." {
                throw refusal("the component \"\(component)\" is not allowed")
            }
            if component.utf8.count > 255 || component.utf8.contains(0) {
                throw refusal("a component is longer than 255 bytes or holds a NUL")
            }
        }
        return components
    }

    /// The whole of a regular file of at most `limit` bytes.
    func read(_ name: String, at place: String, upTo limit: Int) throws -> [UInt8] {
        let components = try Self.components(of: name, place)
        let parent = try openParent(components, at: place, creating: false)
        // Without O_NONBLOCK, opening a named pipe would wait for its writer.
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let file = try parent.open(components[components.count - 1], flags, mode: 0, place)
        let size = try file.regularFileSize(place)
        guard size <= limit else {
            throw HandlerError(
                type: "too_large", message: "\(place) has \(size) bytes, at most \(limit) are read", isRetryable: false)
        }
        return try file.read(upTo: limit, place)
    }

    /// Writes a file so that its name leads to all of the bytes, on disk, or to what stood there before: a temporary
    /// file next to it is renamed. Folders on the way are made. Attempts do not touch each other's temporary file; one
    /// that is killed in the middle leaves its own behind, with a name that begins with a dot.
    func write(_ bytes: [UInt8], to name: String, for attempt: TaskAttempt) throws {
        let components = try Self.components(of: name, "the output's name")
        let parent = try openParent(components, at: name, creating: true)
        let final = components[components.count - 1]
        let temporary = ".\(attempt.id).\(attempt.token).\(attempt.node).tmp"
        do {
            let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC
            let file = try parent.open(temporary, flags, mode: 0o644, name)
            try file.write(bytes, name)
            guard fdatasync(file.number) == 0 else { throw Descriptor.failure("sync", name) }
            guard renameat(parent.number, temporary, parent.number, final) == 0 else {
                throw Descriptor.failure("rename", name)
            }
        } catch {
            // The error that counts is on its way; a temporary file that cannot be removed either is only untidy.
            _ = unlinkat(parent.number, temporary, 0)
            throw error
        }
        // Else a power cut could undo the rename after the task was reported as done.
        guard fsync(parent.number) == 0 else { throw Descriptor.failure("sync the folder of", name) }
    }

    /// Appends `line` with one write, so that lines of several processes never mix.
    func append(_ line: [UInt8], to name: String, at place: String, upTo limit: Int) throws {
        let components = try Self.components(of: name, place)
        let parent = try openParent(components, at: place, creating: true)
        let flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        let file = try parent.open(components[components.count - 1], flags, mode: 0o644, place)
        guard try file.regularFileSize(place) + line.count <= limit else {
            throw HandlerError(
                type: "too_large", message: "\(place): the file has reached \(limit) bytes; remove it or name another",
                isRetryable: false)
        }
        let written = line.withUnsafeBytes { Foundation.write(file.number, $0.baseAddress, $0.count) }
        guard written == line.count else { throw Descriptor.failure("append to", place) }
    }

    /// The folder in which the last component stands.
    private func openParent(_ components: [String], at place: String, creating: Bool) throws -> Descriptor {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        if creating, mkdir(path, 0o755) != 0, errno != EEXIST {
            throw Descriptor.failure("make the work folder for", place)
        }
        var folder = try Descriptor(Foundation.open(path, flags), "open the work folder for", place)
        for component in components.dropLast() {
            if creating, mkdirat(folder.number, component, 0o755) != 0, errno != EEXIST {
                throw Descriptor.failure("make the folder \(component) for", place)
            }
            folder = try folder.open(component, flags | O_NOFOLLOW, mode: 0, place)
        }
        return folder
    }
}

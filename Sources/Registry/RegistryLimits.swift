import Primitives

extension Limits {
    /// Commands that wait for Redis's answer.
    static let registryCommands = 8192
    /// Bytes of these commands.
    static let registryBytes = 64 << 20
    /// One reply of Redis: a result's document with all that belongs to it, and room.
    static let registryReplyBytes = 24 << 20
    /// Elements of one array in a reply.
    static let registryReplyElements = 16_384
    /// One member's entry.
    static let registryMemberBytes = 4096
    /// Keys that a listing of members looks at, and rounds of SCAN in which it does; a node has one key.
    static let registryMemberKeys = 4096
    static let registryScanRounds = 65_536
    /// One result's document: the result and the error, escaped, with what surrounds them.
    static let registryDocumentBytes = 20 << 20
    /// Databases of a Redis.
    static let redisDatabase = 1_000_000
}

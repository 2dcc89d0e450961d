import Primitives

/// One listing of members: SCAN to the end, then MGET in pages.
///
/// `@unchecked`: only touched on the loop.
final class MemberScan: @unchecked Sendable {
    /// How many keys Redis looks at in one step: about 1 ms of its time.
    private static let step = 2000
    /// Entries that are read at a time.
    private static let page = 256

    private let client: RedisClient
    private let prefix: String
    private let cluster: ClusterID?
    private let completion: RegistryCompletion<MemberListing>
    private var keys: Set<[UInt8]> = []
    private var names: [NodeName] = []
    private var rounds = 0
    private var listing = MemberListing(members: [])

    init(
        _ client: RedisClient, prefix: String, cluster: ClusterID?,
        _ completion: @escaping RegistryCompletion<MemberListing>
    ) {
        self.client = client
        self.prefix = prefix
        self.cluster = cluster
        self.completion = completion
    }

    func begin() { scan(from: Array("0".utf8)) }

    private func scan(from cursor: [UInt8]) {
        let command: [RedisPart] = [
            "SCAN", .bytes(cursor), "MATCH", .text(Self.escaped(prefix) + "*"), "COUNT", .text(String(Self.step)),
        ]
        client.send(command) { [self] result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let answer): scanned(answer)
            }
        }
    }

    private func scanned(_ answer: RedisValue) {
        if case .error(let text) = answer { return completion(.failure(.refused("Redis refuses SCAN: \(text)"))) }
        guard case .array(let parts) = answer, parts.count == 2, case .bytes(let cursor) = parts[0],
            (1...20).contains(cursor.count), case .array(let found) = parts[1]
        else { return completion(.failure(.malformed("Redis answered SCAN with \(answer.kind)"))) }
        for case .bytes(let key) in found { keys.insert(key) }
        rounds += 1
        guard keys.count <= Limits.registryMemberKeys, rounds <= Limits.registryScanRounds else {
            return completion(
                .failure(
                    .malformed("Redis names over \(Limits.registryMemberKeys) members, or does not come to an end")))
        }
        guard cursor == Array("0".utf8) else { return scan(from: cursor) }
        for key in keys {
            let text = String(decoding: key, as: UTF8.self)
            if text.hasPrefix(prefix), let name = NodeName(String(text.dropFirst(prefix.count))) {
                names.append(name)
            } else {
                listing.malformed += 1
            }
        }
        names.sort()
        readPage(at: 0)
    }

    private func readPage(at start: Int) {
        guard start < names.count else { return completion(.success(listing)) }
        let page = names[start..<min(start + Self.page, names.count)]
        client.send(["MGET"] + page.map { .text(prefix + $0.rawValue) }) { [self] result in
            switch result {
            case .failure(let error): return completion(.failure(error))
            case .success(let answer):
                guard case .array(let values) = answer, values.count == page.count else {
                    return completion(.failure(.malformed("Redis answered MGET with \(answer.kind)")))
                }
                for (name, value) in zip(page, values) { take(value, of: name) }
                readPage(at: start + Self.page)
            }
        }
    }

    private func take(_ value: RedisValue, of name: NodeName) {
        switch value {
        case .bytes(let bytes):
            guard let member = MemberEntry.decode(bytes, name: name) else { return listing.malformed += 1 }
            if let cluster, let theirs = member.cluster, theirs != cluster { return listing.foreign += 1 }
            listing.members.append(member)
        // A list or a number at that key, which MGET shows as nothing, or an entry that has just expired.
        case .null: break
        case .integer, .error, .array: listing.malformed += 1
        }
    }

    /// A pattern that matches the text itself.
    private static func escaped(_ text: String) -> String {
        var pattern = ""
        for character in text {
            if "*?[]\\^".contains(character) { pattern.append("\\") }
            pattern.append(character)
        }
        return pattern
    }
}

import FoundationEssentials
import Primitives

/// A member's entry in the store: JSON, so that people can read it there.
struct MemberEntry: Codable {
    var cluster: String?
    var name: String
    var generation: UInt64
    var gossip: String
    var peer: String
    var http: String

    static func encode(_ member: RegisteredMember) throws(RegistryError) -> [UInt8] {
        let entry = MemberEntry(
            cluster: member.cluster?.description, name: member.name.rawValue, generation: member.generation.rawValue,
            gossip: member.gossip.description, peer: member.peer.description, http: member.http.description)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(entry))
        } catch {
            throw .malformed("the entry of \(member.name) cannot be written as JSON: \(error)")
        }
    }

    /// `cluster` is written as null, not left out.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(cluster, forKey: .cluster)
        try container.encode(name, forKey: .name)
        try container.encode(generation, forKey: .generation)
        try container.encode(gossip, forKey: .gossip)
        try container.encode(peer, forKey: .peer)
        try container.encode(http, forKey: .http)
    }

    /// Nil for anything that is no entry of the member named `name`.
    static func decode(_ bytes: [UInt8], name: NodeName) -> RegisteredMember? {
        guard bytes.count <= Limits.registryMemberBytes else { return nil }
        // Why it does not parse helps nobody: the entry is counted as malformed.
        guard let entry = try? JSONDecoder().decode(MemberEntry.self, from: Data(bytes)), entry.name == name.rawValue,
            let gossip = Address(entry.gossip), let peer = Address(entry.peer), let http = Address(entry.http)
        else { return nil }
        var cluster: ClusterID?
        if let text = entry.cluster {
            guard let id = ClusterID(text) else { return nil }
            cluster = id
        }
        return RegisteredMember(
            cluster: cluster, name: name, generation: Generation(entry.generation), gossip: gossip, peer: peer,
            http: http)
    }
}

public import Primitives

/// Answer of `POST /api/tasks/batch`: what became of each task, in the order in which they were sent.
public struct BatchDocument: Hashable, Sendable, Decodable, JSONWritable {
    public enum Result: Hashable, Sendable {
        case accepted(TaskID)
        case rejected(ProblemDocument)
    }

    public var accepted: Int
    public var rejected: Int
    /// The weakest of the accepted tasks: `replicated`, `degraded` or `local`; nil if none was accepted.
    public var durability: String?
    public var results: [Result]

    enum CodingKeys: String, CodingKey { case accepted, rejected, durability, results }

    public init(results: [Result], durability: String?) {
        self.results = results
        self.durability = durability
        accepted = results.count { if case .accepted = $0 { true } else { false } }
        rejected = results.count - accepted
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.accepted, accepted)
            object.put(.rejected, rejected)
            object.put(.durability, durability)
            object.put(.results, results)
        }
    }
}

extension BatchDocument.Result: Decodable, JSONWritable {
    enum CodingKeys: String, CodingKey { case id, error }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let id = try container.decodeIfPresent(TaskID.self, forKey: .id) {
            self = .accepted(id)
        } else {
            self = .rejected(try container.decode(ProblemDocument.self, forKey: .error))
        }
    }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            switch self {
            case .accepted(let id): object.put(.id, id)
            case .rejected(let problem): object.put(.error, problem)
            }
        }
    }
}

public import Primitives

/// Every error of the API: `application/problem+json` (RFC 9457).
public struct ProblemDocument: Hashable, Sendable, Decodable {
    /// What is wrong with one part of the input.
    public struct Item: Hashable, Sendable, Decodable {
        /// A JSON pointer (RFC 6901) into the body; for what is not in the body, the name of the parameter or header.
        public var pointer: String
        public var detail: String

        public init(pointer: String, detail: String) {
            self.pointer = pointer
            self.detail = detail
        }
    }

    /// A reference to the kind of problem, relative to the server: `/docs#not-found`.
    public var type: String
    public var title: String
    /// The HTTP status.
    public var status: Int
    public var detail: String
    /// Empty unless the input was invalid.
    public var errors: [Item]
    /// The task that it is about, where there is one.
    public var id: TaskID?
    /// Where malformed JSON stops being JSON, in bytes from the start of the body.
    public var offset: Int?

    enum CodingKeys: String, CodingKey { case type, title, status, detail, errors, id, offset }

    public init(
        type: String, title: String, status: Int, detail: String, errors: [Item] = [], id: TaskID? = nil,
        offset: Int? = nil
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.errors = errors
        self.id = id
        self.offset = offset
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        type = try container.decodeIfPresent(String.self, forKey: .type) ?? "about:blank"
        title = try container.decodeIfPresent(String.self, forKey: .title) ?? ""
        status = try container.decode(Int.self, forKey: .status)
        detail = try container.decodeIfPresent(String.self, forKey: .detail) ?? ""
        errors = try container.decodeIfPresent([Item].self, forKey: .errors) ?? []
        id = try container.decodeIfPresent(TaskID.self, forKey: .id)
        offset = try container.decodeIfPresent(Int.self, forKey: .offset)
    }
}

extension ProblemDocument: JSONWritable {
    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.type, type)
            object.put(.title, title)
            object.put(.status, status)
            object.put(.detail, detail)
            if !errors.isEmpty { object.put(.errors, errors) }
            if let id { object.put(.id, id) }
            if let offset { object.put(.offset, offset) }
        }
    }
}

extension ProblemDocument.Item: JSONWritable {
    private enum CodingKeys: String, CodingKey { case pointer, detail }

    public func write(to json: inout JSONWriter) {
        json.object(CodingKeys.self) { object in
            object.put(.pointer, pointer)
            object.put(.detail, detail)
        }
    }
}

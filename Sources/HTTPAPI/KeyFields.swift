import Primitives
import TaskLedger

/// What a request says of an idempotency key: in its header, in its body, or in both the same.
struct KeyFields {
    /// The header `Idempotency-Key`.
    let header: String?
    private var key: String?
    private var window: UInt64?

    init(header: String?) { self.header = header }

    /// The member `idempotency_key` of the body.
    mutating func readKey(_ pointer: String, _ reader: inout FieldReader) throws(JSONError) {
        key = try reader.key(pointer) ?? key
    }

    /// The member `idempotency_window`.
    mutating func readWindow(_ pointer: String, _ reader: inout FieldReader) throws(JSONError) {
        window = try reader.seconds(pointer, upTo: Limits.horizonSeconds, allowsZero: false)
    }

    /// What is wrong with them together, and where.
    var problem: (pointer: String, detail: String)? {
        if let header, let key, header != key {
            return ("/idempotency_key", "the header Idempotency-Key says \(quoted(header)): give one of them")
        }
        if key == nil, header == nil, window != nil {
            return ("/idempotency_window", "there is no idempotency_key, in the body or as a header")
        }
        return nil
    }

    /// Nil: there is no key. Its window is a day if none is given.
    func idempotency(of body: @autoclosure () -> BodyDigest) -> TaskSpec.Idempotency? {
        (key ?? header).map {
            TaskSpec.Idempotency(key: $0, body: body(), window: window ?? Limits.keyWindow)
        }
    }
}

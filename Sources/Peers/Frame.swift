/// What is carried between nodes: a tag that says which message it is, and the message's bytes. Both are opaque here.
public struct Frame: Hashable, Sendable {
    public var tag: UInt16
    public var body: [UInt8]

    public init(_ tag: UInt16, _ body: [UInt8]) {
        self.tag = tag
        self.body = body
    }
}

import CHiredis

/// What Redis answered.
enum RedisValue: Hashable, Sendable {
    case null
    case integer(Int64)
    /// A status (`OK`) or a string.
    case bytes([UInt8])
    case error(String)
    case array([RedisValue])

    /// Nil for a type that this version of hiredis does not have.
    init?(_ reply: redisReply) {
        switch reply.type {
        case REDIS_REPLY_NIL: self = .null
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_STATUS, REDIS_REPLY_STRING: self = .bytes(Self.bytes(of: reply))
        case REDIS_REPLY_ERROR: self = .error(String(decoding: Self.bytes(of: reply).prefix(256), as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            var elements: [RedisValue] = []
            // hiredis refuses more than 7 levels, so this ends.
            for index in 0..<reply.elements {
                guard let element = reply.element[index], let value = RedisValue(element.pointee) else { return nil }
                elements.append(value)
            }
            self = .array(elements)
        default: return nil
        }
    }

    private static func bytes(of reply: redisReply) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: reply.str, count: Int(reply.len)))
    }

    var isOK: Bool { self == .bytes(Array("OK".utf8)) }

    /// For messages: of what kind the value is, without its content.
    var kind: String {
        switch self {
        case .null: "nothing"
        case .integer: "a number"
        case .bytes: "a string"
        case .error(let text): "the error \"\(text)\""
        case .array: "a list"
        }
    }
}

/// One string of a command.
enum RedisPart: ExpressibleByStringLiteral, Sendable {
    case text(String)
    case bytes([UInt8])

    init(stringLiteral text: String) { self = .text(text) }

    var count: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        }
    }
}

/// Commands in the protocol of Redis: lists of strings.
enum RedisCommand {
    static func encode(_ parts: [RedisPart]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(parts.reduce(16) { $0 + $1.count + 16 })
        appendHeader("*", parts.count, to: &bytes)
        for part in parts {
            appendHeader("$", part.count, to: &bytes)
            switch part {
            case .text(let text): bytes += text.utf8
            case .bytes(let content): bytes += content
            }
            bytes.append(0x0D)
            bytes.append(0x0A)
        }
        return bytes
    }

    private static func appendHeader(_ kind: Unicode.Scalar, _ count: Int, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: kind))
        bytes += String(count).utf8
        bytes.append(0x0D)
        bytes.append(0x0A)
    }
}

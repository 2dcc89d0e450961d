import Primitives

/// Where Redis is and how to enter: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`.
///
/// User and password may be percent-encoded. Printing it shows no password.
public struct RedisURL: Hashable, Sendable, CustomStringConvertible {
    public static let defaultPort: UInt16 = 6379

    public let host: String
    public let port: UInt16
    public let user: String?
    public let password: String?
    public let database: Int

    /// Why a text is no URL of Redis.
    public struct Invalid: Error, Hashable, Sendable, CustomStringConvertible {
        public let reason: String

        public var description: String { "\(reason); expected redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]" }
    }

    public init(_ text: String) throws(Invalid) {
        guard let separator = Self.position(of: "://", in: text) else {
            throw Invalid(reason: "the registry's URL has no scheme")
        }
        switch text[..<separator.lowerBound] {
        case "redis": break
        case "rediss": throw Invalid(reason: "TLS to the registry (rediss) is not supported: put a TLS proxy before it")
        case let scheme: throw Invalid(reason: "the registry's URL has the unknown scheme \"\(scheme.prefix(16))\"")
        }
        var rest = text[separator.upperBound...]
        if rest.contains(where: { $0 == "?" || $0 == "#" }) {
            throw Invalid(reason: "the registry's URL has a query or a fragment, which mean nothing here")
        }

        var database = 0
        if let slash = rest.firstIndex(of: "/") {
            let digits = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
            if !digits.isEmpty {
                guard let number = Self.number(digits), number <= Limits.redisDatabase else {
                    throw Invalid(reason: "the registry's database \"\(digits.prefix(16))\" is no number from 0 on")
                }
                database = number
            }
        }
        self.database = database

        if let at = rest.lastIndex(of: "@") {
            let credentials = rest[..<at]
            rest = rest[rest.index(after: at)...]
            guard let colon = credentials.firstIndex(of: ":") else {
                throw Invalid(reason: "the registry's URL has a user without a password")
            }
            let user = try Self.decoded(credentials[..<colon])
            self.user = user.isEmpty ? nil : user
            password = try Self.decoded(credentials[credentials.index(after: colon)...])
        } else {
            user = nil
            password = nil
        }

        (host, port) = try Self.endpoint(rest)
    }

    public var description: String {
        let shown = host.contains(":") ? "[\(host)]" : host
        return "redis://\(password == nil ? "" : "\(user ?? ""):***@")\(shown):\(port)/\(database)"
    }

    private static func endpoint(_ text: Substring) throws(Invalid) -> (String, UInt16) {
        var host = text
        var port = defaultPort
        let bracket = text.lastIndex(of: "]")
        if let colon = text.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
            let digits = text[text.index(after: colon)...]
            guard let number = number(digits), let value = UInt16(exactly: number), value > 0 else {
                throw Invalid(reason: "the registry's port \"\(digits.prefix(16))\" is no number from 1 to 65535")
            }
            host = text[..<colon]
            port = value
        }
        if host.first == "[" {
            guard host.last == "]" else { throw Invalid(reason: "the registry's host has an unclosed bracket") }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Invalid(reason: "the registry's host is an IPv6 address without brackets")
        }
        guard !host.isEmpty else { throw Invalid(reason: "the registry's URL has no host") }
        guard host.utf8.count <= Limits.hostBytes else { throw Invalid(reason: "the registry's host is too long") }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Invalid(reason: "the registry's host has a character that no host has")
        }
        return (String(host), port)
    }

    /// Digits only: no sign, at most 9.
    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.count <= 9, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text)
    }

    private static func position(of part: String, in text: String) -> Range<String.Index>? {
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix(part) else { return nil }
        return colon..<text.index(colon, offsetBy: part.count)
    }

    private static func decoded(_ text: Substring) throws(Invalid) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, rest.prefix(2).allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else { throw Invalid(reason: "the registry's credentials have a % that no two hexadecimal digits follow") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self), !text.utf8.contains(0) else {
            throw Invalid(reason: "the registry's credentials are not UTF-8")
        }
        return text
    }
}

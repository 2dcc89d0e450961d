/// An absolute `http` or `https` URL (RFC 3986), as far as a client needs it to know whom it is going to ask.
///
/// Stricter than the RFC where leniency is how one host is taken for another: only visible ASCII, no user information, no
/// backslash; a host in digits is left to who connects. A fragment is not sent to anybody, so there must be none.
public struct WebAddress: Hashable, Sendable, CustomStringConvertible {
    public let isSecure: Bool
    /// In lower case; of an IPv6 address without the brackets.
    public let host: String
    public let port: UInt16
    /// Path and query: begins with `/`.
    public let target: String

    /// What is wrong with a text, as the end of a sentence that names it.
    public struct Invalid: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    public init(_ text: String) throws(Invalid) {
        guard text.utf8.count <= Limits.urlBytes else {
            throw Invalid(description: "must be at most \(Limits.urlBytes) bytes, got \(text.utf8.count)")
        }
        guard text.utf8.allSatisfy({ Self.isAllowed($0) }) else {
            throw Invalid(
                description: "must be visible ASCII without quotes, brackets, \\, ^, ` and |: anything else is "
                    + "percent-encoded in a path, and Punycode in a host")
        }
        guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else {
            throw Invalid(description: "must begin with http:// or https://")
        }
        switch text[..<colon].lowercased() {
        case "http": isSecure = false
        case "https": isSecure = true
        default: throw Invalid(description: "must begin with http:// or https://")
        }
        guard !text.utf8.contains(UInt8(ascii: "#")) else {
            throw Invalid(description: "must have no fragment (#...): it is not sent")
        }
        let rest = text[text.index(colon, offsetBy: 3)...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.contains("@") else {
            throw Invalid(description: "must have no user name or password: a header is the place for secrets")
        }
        (host, port) = try Self.split(authority, standard: isSecure ? 443 : 80)
        let tail = rest[end...]
        target = tail.hasPrefix("/") ? String(tail) : "/" + tail
    }

    private static func split(_ authority: Substring, standard: UInt16) throws(Invalid) -> (String, UInt16) {
        var host = authority
        var port: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw Invalid(description: "must close the [ of its IPv6 address")
            }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let rest = authority[authority.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw Invalid(description: "must have a port, or nothing, after the ] of its IPv6 address")
            }
            if !rest.isEmpty { port = rest.dropFirst() }
            guard host.utf8.allSatisfy({ isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }),
                host.contains(":")
            else { throw Invalid(description: "must have an IPv6 address between [ and ]") }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                port = authority[authority.index(after: colon)...]
            }
            let isName = host.utf8.allSatisfy { byte in
                isHexadecimal(byte) || (0x67...0x7A).contains(byte | 0x20) || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            }
            guard isName else { throw Invalid(description: "must have a host of letters, digits, - and .") }
        }
        guard !host.isEmpty else { throw Invalid(description: "must name a host") }
        guard host.utf8.count <= Limits.hostBytes else {
            throw Invalid(description: "must have a host of at most \(Limits.hostBytes) bytes")
        }
        guard let port, !port.isEmpty else { return (host.lowercased(), standard) }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port), number > 0 else {
            throw Invalid(description: "must have a port of 1...65535, if any")
        }
        return (host.lowercased(), number)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21...0x7E: !"\"<>\\^`{|}".utf8.contains(byte)
        default: false
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte | 0x20)
    }

    private init(_ base: WebAddress, target: String) {
        isSecure = base.isSecure
        host = base.host
        port = base.port
        self.target = target
    }

    /// Where a `Location` leads that this address answered with (RFC 9110, section 10.2.2). Its fragment is dropped.
    public func following(_ location: String) throws(Invalid) -> WebAddress {
        let reference = location.prefix { $0 != "#" }
        let scheme = reference.prefix { $0 != ":" && $0 != "/" && $0 != "?" }
        if reference.dropFirst(scheme.count).hasPrefix(":") { return try WebAddress(String(reference)) }
        if reference.hasPrefix("//") { return try WebAddress((isSecure ? "https:" : "http:") + reference) }
        let path = target.prefix { $0 != "?" }
        let next: String
        if reference.hasPrefix("/") {
            next = String(reference)
        } else if reference.isEmpty {
            next = target
        } else if reference.hasPrefix("?") {
            next = String(path + reference)
        } else {
            next = String(path[...(path.lastIndex(of: "/") ?? path.startIndex)] + reference)
        }
        // Through the same checks.
        return try WebAddress(WebAddress(self, target: next).description)
    }

    /// Whether both are the same site: secrets that one was told may be told to the other.
    public func isSameOrigin(as other: WebAddress) -> Bool {
        isSecure == other.isSecure && host == other.host && port == other.port
    }

    /// Host and port as a header says them.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    public var description: String { "\(isSecure ? "https" : "http")://\(authority)\(target)" }
}

extension Limits {
    /// A URL that is asked.
    public static let urlBytes = 2048
}

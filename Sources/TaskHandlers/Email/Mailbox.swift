import TaskExecution

/// An address with an optional display name: `ann@example.com`, `Ann <ann@example.com>`, `"Ann, B." <ann@example.com>`
/// (RFC 5322, section 3.4; the forms that people write).
///
/// Addresses are ASCII: others need SMTPUTF8 on the whole way, and a domain can be written in its `xn--` form. Quoted
/// local parts, comments, groups and address literals are refused. Display names may be any text without control
/// characters.
struct Mailbox: Hashable, Sendable {
    let name: String
    let address: String

    var domain: Substring { address.split(separator: "@").last ?? "" }

    init(_ text: String, at place: String) throws(HandlerError) {
        func refusal(_ why: String) -> HandlerError {
            .invalidPayload("\(place) is \"\(text.prefix(100))\": \(why)")
        }
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
            throw refusal("it holds a control character")
        }
        var trimmed = text[...]
        while trimmed.first == " " { trimmed.removeFirst() }
        while trimmed.last == " " { trimmed.removeLast() }
        if trimmed.last == ">", let open = trimmed.lastIndex(of: "<") {
            address = String(trimmed[trimmed.index(after: open)...].dropLast())
            guard let name = Self.displayName(trimmed[..<open]) else {
                throw refusal("the display name is not quoted correctly")
            }
            self.name = name
        } else {
            address = String(trimmed)
            name = ""
        }
        if name.utf8.count > HandlerLimits.displayNameBytes {
            throw refusal("the display name is longer than \(HandlerLimits.displayNameBytes) bytes")
        }
        if let why = Self.fault(of: address) { throw refusal(why) }
    }

    /// Nil if quotes do not match.
    private static func displayName(_ text: Substring) -> String? {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        guard text.contains("\"") else { return String(text) }
        guard text.count >= 2, text.removeFirst() == "\"", text.removeLast() == "\"" else { return nil }
        var name = ""
        var isEscaped = false
        for character in text {
            if isEscaped {
                name.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                return nil
            } else {
                name.append(character)
            }
        }
        return isEscaped ? nil : name
    }

    /// What is wrong with an address; nil for a good one.
    private static func fault(of address: String) -> String? {
        guard address.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return "the address may only have visible ASCII characters"
        }
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        if address.contains(",") || address.contains(";") { return "several addresses go into an array" }
        guard parts.count == 2 else { return "an address has one @" }
        let local = parts[0].utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts[0].utf8.count <= 64, local.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isAtomCharacter) }) else {
            return "the part before the @ is not a dotted atom of at most 64 characters"
        }
        let labels = parts[1].utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts[1].utf8.count <= 253, labels.allSatisfy(isLabel) else {
            return "the part after the @ is not a domain"
        }
        return nil
    }

    /// RFC 5322, section 3.2.3: `atext`.
    static func isAtomCharacter(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func isLabel(_ label: Substring.UTF8View) -> Bool {
        guard let first = label.first, let last = label.last, label.count <= 63 else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
}

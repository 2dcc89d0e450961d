import Foundation

/// Header fields as lines of at most 78 characters where their words allow it (RFC 5322, section 2.2.3), in ASCII.
enum HeaderEncoding {
    static let lineLength = 78
    /// Lines with encoded words (RFC 2047, section 2).
    static let encodedLineLength = 76

    /// Free text such as a subject: as it is, folded at spaces, if it is ASCII and no word is too long; else in encoded
    /// words.
    static func unstructured(_ name: String, _ value: String) -> String {
        let words = value.split(separator: " ", omittingEmptySubsequences: false)
        let isPlain =
            value.utf8.allSatisfy { (0x20...0x7E).contains($0) } && !value.contains("=?") && value.first != " "
            && value.last != " " && words.allSatisfy { $0.utf8.count <= lineLength - 2 }
        guard isPlain else { return fold("\(name):", encodedWords(value, after: name.utf8.count + 2)) }
        var lines = ["\(name):"]
        var length = name.utf8.count + 1
        for (index, word) in words.enumerated() {
            // A fold stands for the space before a word; not where the word is empty, or a line would be blank.
            if index > 0, !word.isEmpty, length + 1 + word.utf8.count > lineLength {
                lines.append("")
                length = 0
            }
            lines[lines.count - 1] += " \(word)"
            length += 1 + word.utf8.count
        }
        return lines.joined(separator: "\r\n") + "\r\n"
    }

    /// A list of mailboxes: a comma ends each line that another mailbox follows.
    static func mailboxes(_ name: String, _ mailboxes: [Mailbox]) -> String {
        var header = "\(name):"
        var length = header.utf8.count
        for (index, mailbox) in mailboxes.enumerated() {
            let comma = index + 1 < mailboxes.count ? "," : ""
            for part in parts(of: mailbox, comma) {
                if length + 1 + part.utf8.count > encodedLineLength, length > name.utf8.count + 1 {
                    header += "\r\n"
                    length = 0
                }
                header += " \(part)"
                length += 1 + part.utf8.count
            }
        }
        return header + "\r\n"
    }

    /// What must stay on one line each.
    private static func parts(of mailbox: Mailbox, _ comma: String) -> [String] {
        guard !mailbox.name.isEmpty else { return [mailbox.address + comma] }
        return phrase(mailbox.name) + ["<\(mailbox.address)>\(comma)"]
    }

    private static func phrase(_ name: String) -> [String] {
        let isASCII = name.utf8.allSatisfy { (0x20...0x7E).contains($0) }
        guard isASCII, name.utf8.count <= 60, !name.contains("=?") else { return encodedWords(name, after: lineLength) }
        if name.utf8.allSatisfy({ Mailbox.isAtomCharacter($0) || $0 == 0x20 }), !name.contains("  ") { return [name] }
        let escaped = name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return ["\"\(escaped)\""]
    }

    /// `text` as encoded words of at most 75 characters, none of which splits a character.
    /// - Parameter column: where the first of them begins; if hardly anything fits there, it will go onto the next
    ///   line.
    private static func encodedWords(_ text: String, after column: Int) -> [String] {
        // 12 characters surround base64, which takes 4 for 3 bytes.
        func capacity(_ length: Int) -> Int { (min(length, encodedLineLength - 1) - 12) / 4 * 3 }
        let first = capacity(encodedLineLength - column)
        var room = first >= 12 ? first : capacity(encodedLineLength - 1)
        var words: [String] = []
        var bytes: [UInt8] = []
        func flush() {
            words.append("=?utf-8?B?\(Data(bytes).base64EncodedString())?=")
            bytes = []
            room = capacity(encodedLineLength - 1)
        }
        for scalar in text.unicodeScalars {
            let encoded = Array(String(scalar).utf8)
            if bytes.count + encoded.count > room { flush() }
            bytes += encoded
        }
        if !bytes.isEmpty || words.isEmpty { flush() }
        return words
    }

    /// One encoded word a line; the first beside the name if it fits. Readers drop the line ends between them.
    private static func fold(_ start: String, _ words: [String]) -> String {
        let fits = start.utf8.count + 1 + (words.first?.utf8.count ?? 0) <= encodedLineLength
        return start + (fits ? " " : "\r\n ") + words.joined(separator: "\r\n ") + "\r\n"
    }

    /// A parameter of a structured header, on lines of its own (RFC 2045 and RFC 2231): `;\r\n name="value"`, or in
    /// percent encoding, in numbered sections where one line does not hold it.
    static func parameter(_ name: String, _ value: String) -> String {
        let isASCII = value.utf8.allSatisfy { (0x20...0x7E).contains($0) }
        let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        if isASCII, name.utf8.count + escaped.utf8.count <= lineLength - 6, !value.contains("=?") {
            return ";\r\n \(name)=\"\(escaped)\""
        }
        var sections = ["utf-8''"]
        // No section splits a character: some readers decode them one by one.
        for scalar in value.unicodeScalars {
            let unit = String(scalar).utf8.map { byte in
                byte < 0x80 && isAttributeCharacter(byte)
                    ? String(Unicode.Scalar(byte)) : (byte < 16 ? "%0" : "%") + String(byte, radix: 16).uppercased()
            }.joined()
            if sections[sections.count - 1].utf8.count + unit.utf8.count > 56 { sections.append("") }
            sections[sections.count - 1] += unit
        }
        if sections.count == 1 { return ";\r\n \(name)*=\(sections[0])" }
        return sections.enumerated().map { ";\r\n \(name)*\($0.offset)*=\($0.element)" }.joined()
    }

    /// RFC 2231, section 7: `attribute-char`.
    private static func isAttributeCharacter(_ byte: UInt8) -> Bool {
        Mailbox.isAtomCharacter(byte) && !"*'%/?=".utf8.contains(byte) || byte == UInt8(ascii: ".")
    }
}

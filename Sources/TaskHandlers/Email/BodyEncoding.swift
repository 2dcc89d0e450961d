import Foundation

/// Bodies in ASCII lines of at most 76 characters, with CRLF (RFC 2045, section 6).
enum BodyEncoding {
    /// A text part's lines, and the name of their encoding: as they are if that is allowed, else quoted-printable or
    /// base64, whichever is shorter. Line ends of any kind become CRLF.
    static func text(_ text: String) -> (name: String, lines: String) {
        let normal = lines(of: text)
        let isPlain = normal.allSatisfy { line in
            line.count <= 76 && line.allSatisfy { (0x20...0x7E).contains($0) || $0 == 0x09 } && line.last != 0x20
                && line.last != 0x09
        }
        if isPlain {
            let joined = normal.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\r\n")
            return ("7bit", joined.isEmpty || joined.hasSuffix("\r\n") ? joined : joined + "\r\n")
        }
        let bytes = Array(normal.joined(separator: [0x0D, 0x0A]))
        // Three for each byte that is not printable, against four for every three bytes.
        let escapes = bytes.count { $0 > 0x7E || $0 == UInt8(ascii: "=") }
        return escapes * 6 < bytes.count ? ("quoted-printable", quotedPrintable(normal)) : ("base64", base64(bytes))
    }

    static func base64(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString(options: [
            .lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed,
        ])
            + "\r\n"
    }

    private static func lines(of text: String) -> [[UInt8]] {
        var lines: [[UInt8]] = [[]]
        var afterReturn = false
        for byte in text.utf8 {
            if byte == 0x0D || byte == 0x0A {
                if !(byte == 0x0A && afterReturn) { lines.append([]) }
            } else {
                lines[lines.count - 1].append(byte)
            }
            afterReturn = byte == 0x0D
        }
        return lines
    }

    private static func quotedPrintable(_ lines: [[UInt8]]) -> String {
        var output: [UInt8] = []
        for (index, line) in lines.enumerated() {
            var length = 0
            for (position, byte) in line.enumerated() {
                let isBlank = byte == 0x20 || byte == 0x09
                let isLast = position == line.count - 1
                let isPlain = (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "=") || isBlank && !isLast
                let unit = isPlain ? [byte] : escape(byte)
                // Room for the "=" of a soft line break, which the end of a line does not need.
                if length + unit.count > (isLast ? 76 : 75) {
                    output += "=\r\n".utf8
                    length = 0
                }
                output += unit
                length += unit.count
            }
            if index < lines.count - 1 || !line.isEmpty { output += "\r\n".utf8 }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func escape(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return [UInt8(ascii: "="), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
}

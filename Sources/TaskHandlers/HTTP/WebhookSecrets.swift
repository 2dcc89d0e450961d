import Crypto
import Foundation

/// The secrets that callbacks are signed with, as Standard Webhooks has them: `whsec_` and the base64 of 24 to 64 bytes.
///
/// Several, one a line, are for a change of secrets: every message is signed with each, and a receiver takes a message if one
/// of the signatures is right. So the new one is added at all nodes first, then receivers change, then the old one goes.
///
/// They show in no description of the value.
public struct WebhookSecrets: Sendable, Equatable, CustomStringConvertible, CustomReflectable {
    private let keys: [[UInt8]]

    public struct Invalid: Error, Hashable, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter text: a secret a line, or several with spaces between them; blank lines, and those that begin with `#`, are
    ///   skipped.
    public init(_ text: String) throws(Invalid) {
        var keys: [[UInt8]] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.trimmingCharacters(in: .whitespaces).hasPrefix("#") { continue }
            for word in line.split(whereSeparator: \.isWhitespace) {
                guard word.hasPrefix(Self.prefix),
                    let key = Data(base64Encoded: String(word.dropFirst(Self.prefix.count))),
                    (24...64).contains(key.count)
                else {
                    // Not what it is instead: that may be a secret.
                    throw Invalid(
                        description: "line \(index + 1): expected \(Self.prefix) and the base64 of 24 to 64 bytes")
                }
                keys.append(Array(key))
            }
        }
        guard (1...HandlerLimits.webhookSecrets).contains(keys.count) else {
            throw Invalid(
                description: keys.isEmpty
                    ? "there is no secret in it" : "at most \(HandlerLimits.webhookSecrets) secrets are allowed")
        }
        self.keys = keys
    }

    public static let prefix = "whsec_"

    /// A secret, as a line of text.
    public static func random() -> String {
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        return prefix + Data(bytes).base64EncodedString()
    }

    /// The value of the header `webhook-signature`.
    ///
    /// - Parameter timestamp: seconds since 1970.
    func signature(id: String, timestamp: Int64, body: [UInt8]) -> String {
        let signed = Array("\(id).\(timestamp).".utf8) + body
        return keys.map { key in
            let code = HMAC<SHA256>.authenticationCode(for: signed, using: SymmetricKey(data: key))
            return "v1," + Data(code).base64EncodedString()
        }.joined(separator: " ")
    }

    public var description: String { "\(keys.count) secret\(keys.count == 1 ? "" : "s")" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

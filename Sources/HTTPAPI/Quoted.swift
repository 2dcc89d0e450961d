/// `text` in quotes for a message, cut to `APILimits.quotedBytes`.
func quoted(_ text: some StringProtocol) -> String {
    guard text.utf8.count > APILimits.quotedBytes else { return "\"\(text)\"" }
    return "\"\(String(decoding: text.utf8.prefix(APILimits.quotedBytes), as: UTF8.self))...\""
}

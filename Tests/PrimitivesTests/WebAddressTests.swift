import Primitives
import Testing

struct WebAddressTests {
    @Test(arguments: [
        ("http://example.com", false, "example.com", 80, "/"),
        ("HTTPS://Example.COM:8443/a/b?c=d", true, "example.com", 8443, "/a/b?c=d"),
        ("http://127.0.0.1:9000?x", false, "127.0.0.1", 9000, "/?x"),
        ("http://[FE80::1]:80/", false, "fe80::1", 80, "/"), ("https://h:/p", true, "h", 443, "/p"),
        ("http://a_b-c.d/%20~'()*;:@", false, "a_b-c.d", 80, "/%20~'()*;:@"),
    ])
    func parts(text: String, isSecure: Bool, host: String, port: Int, target: String) throws {
        let address = try WebAddress(text)
        #expect(address.isSecure == isSecure && address.host == host)
        #expect(Int(address.port) == port && address.target == target)
        #expect(try WebAddress(address.description) == address)
    }

    @Test(arguments: [
        "", "example.com", "ftp://h", "http:/h", "http://", "http:///p", "http://u@h", "http://u:p@h/", "http://h:0",
        "http://h:65536", "http://h:x", "http://h:+1", "http://h/#f", "http://h/a b", "http://h\\@i/", "http://[::1",
        "http://[::1]x", "http://[h]", "http://h\u{e9}/", "http://h/\n", "http://h%2e/", "http://[]/", "javascript:x",
        "http://" + String(repeating: "a", count: Limits.hostBytes + 1),
        "http://h/" + String(repeating: "a", count: Limits.urlBytes),
    ])
    func refused(text: String) { #expect(throws: WebAddress.Invalid.self) { try WebAddress(text) } }

    @Test func longestThatIsTaken() throws {
        let text = "http://h/"
        _ = try WebAddress(text + String(repeating: "a", count: Limits.urlBytes - text.utf8.count))
        _ = try WebAddress("http://" + String(repeating: "a", count: Limits.hostBytes))
    }

    @Test(arguments: [
        ("/x?y#z", "https://h:1/x?y"), ("x", "https://h:1/a/x"), ("?q", "https://h:1/a/b?q"),
        ("//i/x", "https://i/x"), ("http://i", "http://i/"), ("", "https://h:1/a/b?c"), ("#f", "https://h:1/a/b?c"),
    ])
    func following(location: String, next: String) throws {
        #expect(try WebAddress("https://h:1/a/b?c").following(location).description == next)
    }

    @Test(arguments: ["http://u@i/", "ftp://i/", "//u@i", "/a b", "mailto:x"])
    func followedNowhere(location: String) throws {
        let address = try WebAddress("https://h:1/a/b?c")
        #expect(throws: WebAddress.Invalid.self) { try address.following(location) }
    }
}

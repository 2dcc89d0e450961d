import Testing

@testable import Registry

struct RedisURLTests {
    @Test(
        arguments: [
            ("redis://localhost", "localhost", 6379, nil, nil, 0),
            ("redis://localhost:7000", "localhost", 7000, nil, nil, 0),
            ("redis://10.0.0.1:7000/3", "10.0.0.1", 7000, nil, nil, 3),
            ("redis://h/", "h", 6379, nil, nil, 0),
            ("redis://:secret@h:1", "h", 1, nil, "secret", 0),
            ("redis://me:a%40b%3Ac%2F@h:1/2", "h", 1, "me", "a@b:c/", 2),
            ("redis://me:p@ss@h", "h", 6379, "me", "p@ss", 0),
            ("redis://[::1]:7000", "::1", 7000, nil, nil, 0),
            ("redis://[::1]", "::1", 6379, nil, nil, 0),
        ] as [(String, String, UInt16, String?, String?, Int)])
    func validURLsAreRead(
        text: String, host: String, port: UInt16, user: String?, password: String?, database: Int
    ) throws {
        let url = try RedisURL(text)
        #expect(url.host == host && url.port == port && url.database == database)
        #expect(url.user == user && url.password == password)
    }

    @Test(arguments: [
        ("", "scheme"), ("localhost:6379", "scheme"), ("http://h", "unknown scheme"), ("rediss://h", "TLS"),
        ("redis://", "no host"), ("redis://:6379", "no host"), ("redis://h:0", "port"), ("redis://h:65536", "port"),
        ("redis://h:-1", "port"), ("redis://h:+1", "port"), ("redis://h:", "port"), ("redis://h/x", "database"),
        ("redis://h/-1", "database"), ("redis://h/99999999999999999999", "database"), ("redis://h/0?x=1", "query"),
        ("redis://me@h", "without a password"), ("redis://:a%4@h", "%"), ("redis://:%+1@h", "%"),
        ("redis://:%FF@h", "UTF-8"), ("redis://::1", "brackets"), ("redis://[::1", "bracket"),
        ("redis://a b", "character"),
    ])
    func othersAreRefusedWithTheReason(text: String, reason: String) {
        let error = #expect(throws: RedisURL.Invalid.self) { try RedisURL(text) }
        #expect(error?.description.contains(reason) == true)
    }

    @Test func thePasswordIsNotPrinted() throws {
        #expect(try RedisURL("redis://me:secret@h:1/2").description == "redis://me:***@h:1/2")
    }
}

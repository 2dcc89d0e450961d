import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite struct JSONTests {
    @Test(arguments: [
        ("null", "null"), (" [ ] ", "[]"), ("{\"b\":1,\"a\":[true,false]}", "{\"b\":1,\"a\":[true,false]}"),
        ("-0", "0"), ("9223372036854775807", "9223372036854775807"), ("9223372036854775808", "9.223372036854776e+18"),
        ("1.0", "1.0"), ("1e2", "100.0"), ("0.1", "0.1"), ("5e-324", "5e-324"), ("-1.5E+3", "-1500.0"),
        ("\"\\u00e9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\\"\\\\\"", "\"é😀/\\u0008\\u000c\\n\\r\\t\\\"\\\\\""),
        ("\"\\u001f\u{7f}\"", "\"\\u001f\u{7f}\""),
    ])
    func documentsAreReadAndWrittenBack(text: String, written: String) throws {
        let value = try JSONParser.parse(Array(text.utf8))
        #expect(value.rendered == written)
        #expect(try JSONParser.parse(value.bytes) == value)
    }

    @Test(arguments: [
        "", " ", "nul", "True", "[1,]", "[1 2]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":1,\"a\":2}", "1 2", "01",
        "1.", ".5",
        "+1", "1e", "1e999", "-", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"\n\"",
        "[", "{", "[\"a\"", "/**/1", "NaN", "Infinity", "'a'", "\u{FEFF}1",
    ])
    func whatIsNotJSONIsRefused(text: String) {
        let error = #expect(throws: HandlerError.self) { try JSONParser.parse(Array(text.utf8)) }
        #expect(error?.type == "invalid_payload")
        #expect(error?.isRetryable == false)
    }

    @Test func bytesThatAreNotUTF8AreRefused() {
        #expect(throws: HandlerError.self) { try JSONParser.parse([0x22, 0xC3, 0x28, 0x22]) }
        #expect(throws: HandlerError.self) { try JSONParser.parse([0x22, 0xED, 0xA0, 0x80, 0x22]) }
    }

    @Test func nestingMeetsItsLimit() throws {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        _ = try JSONParser.parse(nested(Limits.jsonDepth))
        #expect(throws: HandlerError.self) { try JSONParser.parse(nested(Limits.jsonDepth + 1)) }
        #expect(throws: HandlerError.self) { try JSONParser.parse(nested(1_000_000)) }
    }

    @Test(arguments: [
        ("widht", "width"), ("Width", "width"), ("hight", "height"), ("zzz", nil), ("w", nil), ("quality_", "quality"),
    ])
    func nearestNameIsSuggested(text: String, expected: String?) {
        #expect(nearestName(to: text, among: ["width", "height", "quality"]) == expected)
    }

    @Test func unknownMembersAreNamedWithTheNearestKnownOne() throws {
        let value = try JSONParser.parse(Array("{\"secnods\": 1}".utf8))
        let error = #expect(throws: HandlerError.self) { try Fields(value, at: "payload", known: ["seconds"]) }
        #expect(error?.message == "payload has an unknown member \"secnods\": did you mean \"seconds\"?")
    }
}

import Foundation
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite(.timeLimit(.minutes(2))) struct DataTests {
    let work: Workspace
    static let csv = "kind,size,note\\nb,2,x\\na,1.5,\\nb,4,\\\"q,\\n\\\"\\n,8,z\\n"

    init() throws { work = try Workspace() }

    private func query(_ rest: String, csv: String = Self.csv) -> String {
        "{\"input\":{\"format\":\"csv\",\"text\":\"\(csv)\"}\(rest.isEmpty ? "" : ",")\(rest)}"
    }

    @Test(arguments: [
        ("", "[[\"b\",2.0,\"x\"],[\"a\",1.5,null],[\"b\",4.0,\"q,\\n\"],[null,8.0,\"z\"]]"),
        ("\"filter\":[{\"column\":\"size\",\"op\":\">\",\"value\":1.5}],\"select\":[\"size\"]", "[[2.0],[4.0],[8.0]]"),
        ("\"filter\":[{\"column\":\"size\",\"op\":\"<=\",\"value\":2}],\"select\":[\"size\"]", "[[2.0],[1.5]]"),
        ("\"filter\":[{\"column\":\"kind\",\"op\":\"!=\",\"value\":\"b\"}],\"select\":[\"size\"]", "[[1.5],[8.0]]"),
        ("\"filter\":[{\"column\":\"kind\",\"op\":\"==\",\"value\":null}],\"select\":[\"size\"]", "[[8.0]]"),
        ("\"filter\":[{\"column\":\"note\",\"op\":\"contains\",\"value\":\",\"}],\"select\":[\"size\"]", "[[4.0]]"),
        ("\"filter\":[{\"column\":\"size\",\"op\":\"in\",\"value\":[4,8]}],\"select\":[\"kind\"]", "[[\"b\"],[null]]"),
        ("\"filter\":[{\"column\":\"kind\",\"op\":\"<\",\"value\":\"b\"}],\"select\":[\"kind\"]", "[[\"a\"]]"),
        (
            #""sort":[{"column":"kind","descending":true},{"column":"size","descending":true}],"select":["size"]"#,
            "[[4.0],[2.0],[1.5],[8.0]]"
        ),
        (
            "\"sort\":[{\"column\":\"kind\"}],\"limit\":3,\"select\":[\"size\",\"kind\"]",
            "[[1.5,\"a\"],[2.0,\"b\"],[4.0,\"b\"]]"
        ),
        ("\"limit\":0", "[]"),
        (
            "\"group_by\":[\"kind\"],\"aggregate\":[{\"op\":\"count\"},{\"op\":\"sum\",\"column\":\"size\"}]",
            "[[\"b\",2,6.0],[\"a\",1,1.5],[null,1,8.0]]"
        ),
        (
            #""aggregate":[{"op":"count","column":"note"},{"op":"max","column":"note"},{"op":"min","column":"size"}]"#,
            "[[3,\"z\",1.5]]"
        ),
        (
            #""filter":[{"column":"size","op":">","value":9}],"#
                + #""aggregate":[{"op":"count"},{"op":"sum","column":"size"},"#
                + #"{"op":"mean","column":"size"},{"op":"median","column":"size"},{"op":"std","column":"size"}]"#,
            "[[0,0.0,null,null,null]]"
        ),
        (
            #""aggregate":[{"op":"var","column":"size","ddof":1,"as":"v"}],"#
                + #""filter":[{"column":"size","op":"<=","value":2}]"#,
            "[[0.125]]"
        ),
    ])
    func queriesAreAnswered(rest: String, rows: String) async throws {
        let result = try await work.run("data", query(rest))
        let columns = try #require(result["columns"]).elements
        let values = try #require(result["rows"]).elements.map { row in
            JSONValue.array(columns.map { row[$0.text ?? ""] ?? .string("missing") })
        }
        #expect(JSONValue.array(values).rendered == rows)
        #expect(result["input_rows"]?.count == 4)
    }

    @Test(arguments: [
        ("1,2\\n", "integer", "1"), ("-7\\n", "integer", "-7"), ("007\\n", "text", "\"007\""),
        ("1\\n2.5\\n", "number", "1.0"),
        ("1\\n\\nx\\n", "text", "\"1\""), ("nan\\n", "text", "\"nan\""), ("1e3\\n", "number", "1000.0"),
        (" 4 \\n", "integer", "4"),
        ("9223372036854775808\\n", "number", "9.223372036854776e+18"), ("1.\\n", "text", "\"1.\""),
        ("\\\"5\\\"\\n", "integer", "5"),
    ])
    func fieldsBecomeWhatTheyLookLike(csv: String, kind: String, first: String) throws {
        let text = try JSONParser.parse(Array("\"\(csv)\"".utf8)).text ?? ""
        let table = try CSVParser.parse(Array(text.utf8), .init(hasHeader: false), at: "the CSV", CancellationFlag())
        #expect(table.columns[0].kind.rawValue == kind)
        #expect(table.columns[0].cells[0].json.rendered == first)
    }

    @Test(arguments: [
        ("{\"input\":{\"format\":\"csv\",\"text\":\"a,b\\n1\\n\"}}", "the record in line 2 has 1 fields, expected 2"),
        (
            "{\"input\":{\"format\":\"csv\",\"text\":\"a\\n\\\"x\\ny\\\"\\n\\\"b\"}}",
            "line 4 has a quote that is not closed"
        ),
        (
            "{\"input\":{\"format\":\"csv\",\"text\":\"a\\n\\\"x\\\"y\\n\"}}",
            "line 2 has something after a closing quote"
        ),
        ("{\"input\":{\"format\":\"csv\",\"text\":\"a,a\\n\"}}", "the column \"a\" twice"),
        ("{\"input\":{\"format\":\"csv\",\"text\":\"\"}}", "no header and no rows"),
        ("{\"input\":{\"format\":\"csv\"}}", "exactly one of text, file and rows"),
        ("{\"input\":{\"text\":\"a\"}}", "payload.input.format is missing"),
        ("{\"input\":{\"format\":\"csv\",\"text\":\"a\",\"delimiter\":\"ab\"}}", "one ASCII character"),
        ("{\"input\":{\"format\":\"json\",\"text\":\"{}\"}}", "must be an array"),
        ("{\"input\":{\"rows\":[{\"a\":1},2]}}", "row 2 is a number"),
        ("{\"input\":{\"rows\":[{\"a\":[1]}]}}", "row 1, column \"a\" is an array"),
        ("{\"input\":{\"rows\":[{\"a\":1}],\"header\":true}}", "for format \"csv\" only"),
        ("{\"input\":{\"rows\":[{\"size\":1}]},\"select\":[\"sise\"]}", "did you mean \"size\""),
        (
            "{\"input\":{\"rows\":[{\"a\":1}]},\"filter\":[{\"column\":\"a\",\"op\":\"=\",\"value\":1}]}",
            "payload.filter[0].op is \"=\""
        ),
        (
            "{\"input\":{\"rows\":[{\"a\":1}]},\"filter\":[{\"column\":\"a\",\"op\":\"==\"}]}",
            "payload.filter[0].value is missing"
        ),
        (
            "{\"input\":{\"rows\":[{\"a\":1}]},\"filter\":[{\"column\":\"a\",\"op\":\"==\",\"value\":\"1\"}]}",
            "holds integer values"
        ),
        (
            "{\"input\":{\"rows\":[{\"a\":1}]},\"filter\":[{\"column\":\"a\",\"op\":\"in\",\"value\":1}]}",
            "expected an array"
        ),
        (
            "{\"input\":{\"rows\":[{\"a\":1},{\"a\":\"x\"}]},\"aggregate\":[{\"op\":\"sum\",\"column\":\"a\"}]}",
            "such as \"x\" in row 2"
        ),
        ("{\"input\":{\"rows\":[]},\"aggregate\":[{\"op\":\"sum\"}]}", "payload.aggregate[0].column is missing"),
        (
            "{\"input\":{\"rows\":[]},\"aggregate\":[{\"op\":\"count\"},{\"op\":\"count\"}]}",
            "the column \"count\" twice"
        ),
        ("{\"input\":{\"rows\":[]},\"group_by\":[\"a\"]}", "payload.aggregate is missing"),
        (
            "{\"input\":{\"rows\":[]},\"aggregate\":[{\"op\":\"mean\",\"column\":\"a\",\"ddof\":1}]}",
            "\"std\" and \"var\" only"
        ),
        ("{\"input\":{\"rows\":[]},\"agregate\":[]}", "did you mean \"aggregate\""),
        ("{\"input\":{\"format\":\"csv\",\"file\":\"/etc/passwd\"}}", "it is absolute"),
    ])
    func badQueriesAreRefusedWithTheirPlace(payload: String, message: String) async throws {
        let error = try await work.failure("data", payload)
        #expect(error.type == "invalid_payload")
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test func columnsReplaceAHeaderOfAnotherWidth() async throws {
        let payload = """
            {"input": {"format": "csv", "text": "\u{FEFF}150,4,x\\r\\n1 ,a\\r\\n2,b", "columns": ["n", "t"]}}
            """
        let result = try await work.run("data", payload)
        #expect(result["rows"]?.rendered == "[{\"n\":1,\"t\":\"a\"},{\"n\":2,\"t\":\"b\"}]")
    }

    @Test func aFileOfTheWorkFolderIsRead() async throws {
        try work.write("[{\"a\":1},{\"b\":true},{\"a\":2.5}]".utf8, to: "rows.json")
        let result = try await work.run("data", "{\"input\":{\"format\":\"json\",\"file\":\"rows.json\"}}")
        #expect(
            result["rows"]?.rendered == "[{\"a\":1.0,\"b\":null},{\"a\":null,\"b\":true},{\"a\":2.5,\"b\":null}]")
    }

    @Test func integersAddUpExactlyUntilTheyNoLongerFit() async throws {
        func sum(_ values: String) async throws -> JSONValue? {
            let payload =
                #"{"input":{"format":"csv","text":"a\n\#(values)"},"#
                + #""aggregate":[{"op":"sum","column":"a","as":"s"}]}"#
            return try await work.run("data", payload)["rows"]?.elements.first?["s"]
        }
        #expect(try await sum("9007199254740993\\n-1\\n1\\n") == .integer(9_007_199_254_740_993))
        #expect(try await sum("9223372036854775807\\n1\\n") == .number(9_223_372_036_854_775_808))
        let payload =
            "{\"input\":{\"rows\":[{\"a\":1e308},{\"a\":1e308}]},\"aggregate\":[{\"op\":\"sum\",\"column\":\"a\"}]}"
        #expect(try await work.failure("data", payload).type == "not_finite")
    }

    @Test func sumsKeepWhatCancellationWouldTake() {
        #expect(Statistics.sum([1, 1e100, 1, -1e100]) == 2)
        #expect(Statistics.sum(Array(repeating: 0.1, count: 10)) == 1)
        #expect(Statistics.variance([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16], ddof: 1) == 30)
    }

    @Test func limitsAreMet() async throws {
        let wide = (0..<HandlerLimits.dataColumns).map { "c\($0)" }.joined(separator: ",")
        _ = try await work.run("data", query("", csv: wide))
        #expect(try await work.failure("data", query("", csv: wide + ",x")).type == "invalid_payload")

        let flag = CancellationFlag()
        func rows(_ count: Int) throws -> Int {
            let bytes = [UInt8](repeating: 0x61, count: 1) + Array(repeating: [0x0A, 0x61], count: count).joined()
            return try CSVParser.parse(bytes, .init(), at: "the CSV", flag).rowCount
        }
        #expect(try rows(HandlerLimits.dataRows) == HandlerLimits.dataRows)
        #expect(throws: HandlerError.self) { try rows(HandlerLimits.dataRows + 1) }

        let header = Array((0..<100).map { "c\($0)" }.joined(separator: ",").utf8)
        let row = [0x0A] + [UInt8](repeating: 0x2C, count: 99)
        func cells(_ rowCount: Int) throws -> Int {
            let bytes = header + Array(repeating: row, count: rowCount).joined()
            return try CSVParser.parse(bytes, .init(), at: "the CSV", flag).rowCount
        }
        #expect(try cells(HandlerLimits.dataCells / 100) == HandlerLimits.dataCells / 100)
        #expect(throws: HandlerError.self) { try cells(HandlerLimits.dataCells / 100 + 1) }

        func groups(_ count: Int) -> String {
            let text = "a\\n" + (0..<count).map(String.init).joined(separator: "\\n")
            return query("\"group_by\":[\"a\"],\"aggregate\":[{\"op\":\"count\"}],\"limit\":1", csv: text)
        }
        _ = try await work.run("data", groups(HandlerLimits.dataGroups))
        #expect(try await work.failure("data", groups(HandlerLimits.dataGroups + 1)).type == "too_large")

        let clause = "{\"column\":\"kind\"}"
        func sort(_ count: Int) -> String {
            query("\"sort\":[\(Array(repeating: clause, count: count).joined(separator: ","))]")
        }
        _ = try await work.run("data", sort(HandlerLimits.dataClauses))
        #expect(try await work.failure("data", sort(HandlerLimits.dataClauses + 1)).type == "invalid_payload")

        let long = "a\\n" + String(repeating: "x", count: Limits.resultBytes)
        #expect(try await work.failure("data", query("", csv: long)).type == "too_large")
        try work.write([UInt8](repeating: 0x61, count: HandlerLimits.inputFileBytes + 1), to: "large")
        let file = "{\"input\":{\"format\":\"csv\",\"file\":\"large\"}}"
        #expect(try await work.failure("data", file).type == "too_large")
    }

    @Test func aCancelledQueryStops() throws {
        let query = try DataQuery(try JSONParser.parse(Array(query("").utf8)))
        let flag = CancellationFlag()
        let pipeline = DataPipeline(query: query, folder: WorkFolder(work.path), flag: flag)
        #expect(!(try pipeline.run()).isEmpty)
        flag.cancel()
        #expect(throws: CancellationError.self) { try pipeline.run() }
    }
}

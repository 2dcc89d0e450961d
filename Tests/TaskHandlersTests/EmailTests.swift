import Foundation
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite(.timeLimit(.minutes(1))) struct EmailTests {
    let work: Workspace

    init() throws { work = try Workspace() }

    @Test func anEmailIsWrittenToTheOutboxAndARerunReplacesIt() async throws {
        let payload = """
            {"to": "Ann <ann@example.com>", "from": "shop@example.org", "subject": "Hello",
             "text": "Line one\\nLine two"}
            """
        let result = try await work.run("email", payload)
        let name = "01990000-0000-7000-8000-000000000001"
        #expect(result["path"]?.text == "outbox/\(name).eml")
        #expect(result["message_id"]?.text == "<\(name)@example.org>")
        let bytes = try work.contents(of: "outbox/\(name).eml")
        #expect(result["bytes"]?.count == bytes.count)
        #expect(
            String(decoding: bytes, as: UTF8.self) == """
                Date: Sun, 31 Aug 2025 12:00:24 +0000\r
                From: shop@example.org\r
                To: Ann <ann@example.com>\r
                Message-ID: <\(name)@example.org>\r
                Subject: Hello\r
                MIME-Version: 1.0\r
                Content-Type: text/plain; charset=utf-8\r
                Content-Transfer-Encoding: 7bit\r
                \r
                Line one\r
                Line two\r

                """)
        _ = try await work.run("email", payload, attempt: 2)
        #expect(try work.names(in: "outbox") == ["\(name).eml"])
        #expect(try work.contents(of: "outbox/\(name).eml") == bytes)
    }

    @Test(arguments: [
        ("{}", "payload.to is missing"), ("{\"to\":[]}", "payload.to is missing"), ("{\"to\":\"ann\"}", "has one @"),
        ("{\"to\":\"a@b@c\"}", "has one @"), ("{\"to\":[\"a@b\",\"@b\"]}", "payload.to[1]"),
        ("{\"to\":\"a..b@c\"}", "dotted atom"), ("{\"to\":\"a@-b.c\"}", "not a domain"),
        ("{\"to\":\"a@b..c\"}", "not a domain"),
        ("{\"to\":\"a@b, c@d\"}", "visible ASCII"), ("{\"to\":\"a@b,c@d\"}", "array"),
        ("{\"to\":\"é@b\"}", "visible ASCII"),
        ("{\"to\":\"Ann \\\"B <a@b>\"}", "not quoted"), ("{\"to\":\"\\\"A\\\" \\\"B\\\" <a@b>\"}", "not quoted"),
        ("{\"to\":\"a@b\\r\\nBcc: c@d\"}", "control character"), ("{\"to\":\"A\\u0000 <a@b>\"}", "control character"),
        ("{\"to\":7}", "payload.to is a number"), ("{\"to\":[7]}", "payload.to[0] is a number"),
        ("{\"to\":\"a@b\",\"subject\":\"x\\r\\nBcc: c@d\"}", "payload.subject holds a control character"),
        ("{\"to\":\"a@b\",\"subject\":\"x\\u0085y\"}", "payload.subject holds a control character"),
        ("{\"to\":\"a@b\",\"from\":\"x\"}", "payload.from"),
        ("{\"to\":\"a@b\",\"text\":\"x\",\"body\":\"y\"}", "another name"),
        ("{\"to\":\"a@b\",\"subjct\":\"x\"}", "did you mean \"subject\""),
        ("{\"to\":\"a@b\",\"headers\":{\"X-A\":\"b\\nc\"}}", "control character"),
        ("{\"to\":\"a@b\",\"headers\":{\"X A\":\"b\"}}", "visible ASCII"),
        ("{\"to\":\"a@b\",\"headers\":{\"bCC\":\"b@c\"}}", "written by the handler"),
        ("{\"to\":\"a@b\",\"headers\":{\"Content-Type\":\"b\"}}", "written by the handler"),
        ("{\"to\":\"a@b\",\"headers\":{\"X-A\":1}}", "expected a string"),
        ("{\"to\":\"a@b\",\"attachments\":[{\"content_base64\":\"\"}]}", "attachments[0].filename is missing"),
        ("{\"to\":\"a@b\",\"attachments\":[{\"filename\":\"../x\",\"content_base64\":\"\"}]}", "neither / nor"),
        ("{\"to\":\"a@b\",\"attachments\":[{\"filename\":\"x\"}]}", "content_base64 is missing"),
        ("{\"to\":\"a@b\",\"attachments\":[{\"filename\":\"x\",\"content_base64\":\"a\"}]}", "not base64"),
        (
            #"{"to":"a@b","attachments":[{"filename":"x","content_type":"message/rfc822","content_base64":""}]}"#,
            "single part"
        ),
        (
            #"{"to":"a@b","attachments":[{"filename":"x","content_type":"a/b\"","content_base64":""}]}"#,
            "single part"
        ),
    ])
    func badPayloadsAreRefusedWithTheirPlace(payload: String, message: String) async throws {
        let error = try await work.failure("email", payload)
        #expect(error.type == "invalid_payload")
        #expect(error.message.contains(message), "\(error.message)")
        #expect(try work.names().isEmpty)
    }

    @Test func limitsAreMet() async throws {
        func to(_ count: Int) -> String {
            "{\"to\":[\(Array(repeating: "\"a@b\"", count: count - 1).joined(separator: ","))],\"bcc\":\"c@d\"}"
        }
        _ = try await work.run("email", to(HandlerLimits.recipients))
        #expect(try await work.failure("email", to(HandlerLimits.recipients + 1)).message.contains("recipients"))

        func subject(_ count: Int) -> String {
            "{\"to\":\"a@b\",\"subject\":\"\(String(repeating: "x", count: count))\"}"
        }
        _ = try await work.run("email", subject(HandlerLimits.headerBytes))
        #expect(try await work.failure("email", subject(HandlerLimits.headerBytes + 1)).type == "invalid_payload")

        func headers(_ count: Int) -> String {
            "{\"to\":\"a@b\",\"headers\":{\((0..<count).map { "\"X-\($0)\":\"\"" }.joined(separator: ","))}}"
        }
        _ = try await work.run("email", headers(HandlerLimits.customHeaders))
        #expect(try await work.failure("email", headers(HandlerLimits.customHeaders + 1)).type == "invalid_payload")

        func attachments(_ count: Int) -> String {
            let one = "{\"filename\":\"x\",\"content_base64\":\"\"}"
            return "{\"to\":\"a@b\",\"attachments\":[\(Array(repeating: one, count: count).joined(separator: ","))]}"
        }
        _ = try await work.run("email", attachments(HandlerLimits.attachments))
        #expect(try await work.failure("email", attachments(HandlerLimits.attachments + 1)).type == "invalid_payload")

        func name(_ count: Int) -> String { "{\"to\":\"\(String(repeating: "n", count: count)) <a@b>\"}" }
        _ = try await work.run("email", name(HandlerLimits.displayNameBytes))
        #expect(try await work.failure("email", name(HandlerLimits.displayNameBytes + 1)).type == "invalid_payload")

        let large = Data(count: HandlerLimits.messageBytes / 4 * 3).base64EncodedString()
        let payload = "{\"to\":\"a@b\",\"attachments\":[{\"filename\":\"x\",\"content_base64\":\"\(large)\"}]}"
        #expect(try await work.failure("email", payload).type == "too_large")
    }

    /// Python's parser as the oracle: no defects, and every field reads back.
    @Test(.enabled(if: Oracle.hasPython, "python3 is missing")) func pythonReadsBackWhatWasWritten() async throws {
        var cases: [JSONValue] = []
        for (number, payload) in try Self.payloads().enumerated() {
            let result = try await work.run("email", payload.rendered, id: UInt64(number))
            let path = try #require(result["path"]?.text)
            cases.append(.object([.init("path", .string(work.path + "/" + path)), .init("payload", payload)]))
        }
        let faults = try Oracle.ask(Self.script, .array(cases))
        #expect(faults == .array([]))
    }

    /// Handpicked ones, then random ones from an alphabet of what is hard to encode.
    private static func payloads() throws -> [JSONValue] {
        let long = String(repeating: "word ", count: 100) + "end"
        let unbroken = String(repeating: "x", count: 1500)
        var payloads = try [
            "{\"to\":\"a@b\"}",
            #"{"to":["Änne Müller <a@b.example>","\"Smith, J.\" <c@d>","O'Neil (x) <e@f>"],"text":"Grüße"}"#,
            "{\"to\":\"a@b\",\"subject\":\(quoted(long)),\"text\":\(quoted(long)),\"html\":\"<p>é</p>\"}",
            "{\"to\":\"a@b\",\"subject\":\(quoted(unbroken)),\"text\":\(quoted(unbroken))}",
            "{\"to\":\"a@b\",\"subject\":\"=?utf-8?B?eA==?=\",\"text\":\"=3D =\\n. \\nFrom me\\n..\\n \\t\\n\"}",
            #"{"to":"a@b","subject":"  two  spaces  ","text":"--=_alternative\n--","html":"<i>--=_mixed</i>"}"#,
            "{\"cc\":[\"c@d\"],\"bcc\":[\"e@f\"],\"reply_to\":\"r@s\",\"headers\":{\"X-Ä\":\"\"}}".replacing(
                "X-Ä", with: "X-A"),
            #"{"to":"a@b","attachments":[{"filename":"naïve \"file\".txt","content_base64":"aGVsbG8="},"#
                + "{\"filename\":\(quoted(String(repeating: "é", count: 127))),\"content_base64\":\"AAEC\","
                + #""content_type":"image/png"},"#
                + #"{"filename":"plain.csv","content_base64":"YSxi","content_type":"text/csv"}]}"#,
        ].map { try JSONParser.parse(Array($0.utf8)) }
        var generator = SeededGenerator(seed: 20)
        let alphabet = Array("aZ9 .,;:\"\\<>()@=?_%'*é漢😀\u{301}-/  ")
        func text(_ length: Int, and more: [Character] = []) -> String {
            String(
                (0..<Int.random(in: 0...length, using: &generator)).compactMap { _ in
                    (alphabet + more).randomElement(using: &generator)
                })
        }
        for _ in 0..<150 {
            let name = text(60).replacing("\"", with: "").replacing("<", with: "").replacing(">", with: "")
            payloads.append(
                .object([
                    .init(
                        "to", .array([.string("\"\(name.replacing("\\", with: ""))\" <a@b.example>"), .string("c@d")])),
                    .init("subject", .string(text(200))), .init("text", .string(text(400, and: ["\n", "\t", "\r\n"]))),
                    .init("html", .string(text(300, and: ["\n"]))),
                    .init("headers", .object([.init("X-Random-Header-Name", .string(text(150)))])),
                    .init(
                        "attachments",
                        .array([
                            .object([
                                .init(
                                    "filename",
                                    .string("f" + text(60).replacing("/", with: "").replacing("\\", with: ""))),
                                .init("content_base64", .string(Data(text(200).utf8).base64EncodedString())),
                            ])
                        ])),
                ]))
        }
        return payloads
    }

    private static let script = """
        import base64, email, email.policy, email.utils, re
        faults = []
        # Python joins blanks in names, and adds one between encoded words of a phrase: names are compared without any.
        def blanks(text): return text.replace(' ', '')
        for case in data:
            raw = open(case['path'], 'rb').read()
            given = case['payload']
            def check(what, is_good):
                if not is_good: faults.append([what, given])
            check('ascii', all(b < 128 and (b >= 32 or b in (9, 10, 13)) for b in raw))
            check('crlf', not any(b in (10, 13) for b in raw.replace(b'\\r\\n', b'')))
            check('lines', max(len(line) for line in raw.split(b'\\r\\n')) <= 78)
            message = email.message_from_bytes(raw, policy=email.policy.default)
            for part in message.walk():
                check('defects', not part.defects)
                for name, value in part.items(): check('defects of ' + name, not value.defects)
            check('subject', (message['subject'] or '') == given.get('subject', ''))
            for name, value in given.get('headers', {}).items(): check(name, message[name] == value)
            for name in ('to', 'cc', 'bcc', 'reply_to'):
                want = given.get(name, [])
                want = [want] if isinstance(want, str) else want
                header = message[name.replace('_', '-')]
                have = [a.addr_spec for a in header.addresses] if header else []
                check(name, have == [re.search(r'<([^<]*)>$', w).group(1) if w.endswith('>') else w for w in want])
                names = [a.display_name for a in header.addresses] if header else []
                check(name + ' names', [blanks(n) for n in names]
                      == [blanks(re.sub(r' *<[^<]*>$', '', w).strip('"')) if '<' in w else '' for w in want])
            check('date', message['date'].datetime is not None)
            check('id', re.fullmatch(r'<[0-9a-f-]{36}@[^>]+>', message['message-id']))
            def normal(text): return text.replace('\\r\\n', '\\n').replace('\\r', '\\n').rstrip('\\n')
            for kind, name in (('plain', 'text'), ('html', 'html')):
                part = message.get_body(preferencelist=(kind,))
                if name in given or name == 'text' and 'html' not in given:
                    check(name, normal(part.get_content()) == normal(given.get(name, '')))
            want = [(blanks(a['filename']), base64.b64decode(a['content_base64']))
                    for a in given.get('attachments', [])]
            have = [(blanks(a.get_filename()), a.get_payload(decode=True)) for a in message.iter_attachments()]
            check('attachments', have == want)
        answer(faults)
        """
}

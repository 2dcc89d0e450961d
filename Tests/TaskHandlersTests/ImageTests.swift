import CImages
import Foundation
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

@Suite(.timeLimit(.minutes(2))) struct ImageTests {
    let work: Workspace
    /// One pixel of GIF.
    static let dot = "R0lGODlhAQABAIAAAP8AAP///yH5BAAAAAAALAAAAAABAAEAAAICRAEAOw=="

    init() throws { work = try Workspace() }

    @Test(
        arguments: [
            // asked, may enlarge, source, scaled, cropped
            ("contain", 100, 100, false, 400, 200, 100, 50, 100, 50),
            ("contain", 100, 100, false, 50, 20, 50, 20, 50, 20),
            ("contain", 100, 100, true, 50, 20, 100, 40, 100, 40),
            ("contain", 100, nil, false, 400, 300, 100, 75, 100, 75),
            ("contain", nil, 10, false, 400, 300, 13, 10, 13, 10), ("contain", 1, 1, false, 1000, 1, 1, 1, 1, 1),
            ("cover", 100, 100, false, 400, 200, 200, 100, 100, 100),
            ("cover", 100, 100, false, 400, 50, 400, 50, 100, 50),
            ("cover", 100, 100, true, 400, 50, 800, 100, 100, 100), ("fill", 30, 40, false, 400, 200, 30, 40, 30, 40),
            ("fill", 30, 40, false, 20, 200, 20, 40, 20, 40), ("fill", 30, 40, true, 20, 200, 30, 40, 30, 40),
        ] as [(String, Int?, Int?, Bool, Int, Int, Int, Int, Int, Int)])
    func sizesFollowTheFit(
        fit: String, width: Int?, height: Int?, mayEnlarge: Bool, sourceWidth: Int, sourceHeight: Int, scaledWidth: Int,
        scaledHeight: Int, croppedWidth: Int, croppedHeight: Int
    ) throws {
        let geometry = ImageGeometry(
            width: width, height: height, fit: try #require(.init(rawValue: fit)), mayEnlarge: mayEnlarge)
        let plan = geometry.plan(for: .init(width: sourceWidth, height: sourceHeight))
        #expect(plan.scaled == .init(width: scaledWidth, height: scaledHeight))
        #expect(plan.cropped == .init(width: croppedWidth, height: croppedHeight))
    }

    @Test(arguments: ["jpeg", "png", "webp"])
    func anImageIsConvertedIntoAFileOrIntoTheResult(format: String) async throws {
        let payload =
            "{\"operation\":\"resize\",\"input\":{\"base64\":\"\(Self.dot)\"},\"width\":8,\"format\":\"\(format)\""
        let result = try await work.run("image", payload + "}")
        let file = "images/01990000-0000-7000-8000-000000000001.\(format == "jpeg" ? "jpg" : format)"
        #expect(result["file"]?.text == file)
        #expect(result["width"]?.count == 8)
        #expect(result["height"]?.count == 8)
        let bytes = try work.contents(of: file)
        #expect(result["bytes"]?.count == bytes.count)

        let inline = try await work.run("image", payload + ",\"output\":\"base64\"}")
        #expect(inline["base64"]?.text == Data(bytes).base64EncodedString())
        #expect(inline["file"] == nil)

        // What was written is input again, and a rerun replaces it.
        let next = "{\"operation\":\"convert\",\"format\":\"\(format)\",\"input\":{\"file\":\"\(file)\"}}"
        #expect(try await work.run("image", next, attempt: 2)["width"]?.count == 8)
        #expect(try work.names(in: "images").count == 1)
    }

    @Test(arguments: [
        (
            "{\"operation\":\"rotate\",\"input\":{\"base64\":\"\"}}", "invalid_payload",
            "expected one of thumbnail, resize, convert"
        ),
        ("{\"operation\":\"thumbnail\",\"input\":{\"base64\":\"DOT\"}}", "invalid_payload", "payload.width is missing"),
        ("{\"operation\":\"thumbnail\",\"width\":8}", "invalid_payload", "payload.input is missing"),
        ("{\"operation\":\"thumbnail\",\"width\":8,\"input\":{}}", "invalid_payload", "exactly one"),
        ("{\"operation\":\"thumbnail\",\"width\":8,\"input\":{\"base64\":\"*\"}}", "invalid_payload", "not base64"),
        (
            "{\"operation\":\"thumbnail\",\"width\":0,\"input\":{\"base64\":\"DOT\"}}", "invalid_payload",
            "from 1 to 8192"
        ),
        (
            "{\"operation\":\"thumbnail\",\"width\":8193,\"input\":{\"base64\":\"DOT\"}}", "invalid_payload",
            "from 1 to 8192"
        ),
        (
            "{\"operation\":\"resize\",\"width\":8,\"fit\":\"cover\",\"input\":{\"base64\":\"DOT\"}}",
            "invalid_payload", "both"
        ),
        ("{\"operation\":\"convert\",\"width\":8,\"input\":{\"base64\":\"DOT\"}}", "invalid_payload", "keeps the size"),
        (
            "{\"operation\":\"convert\",\"format\":\"bmp\",\"input\":{\"base64\":\"DOT\"}}", "invalid_payload",
            "jpeg, png, webp"
        ),
        (
            "{\"operation\":\"convert\",\"quality\":101,\"input\":{\"base64\":\"DOT\"}}", "invalid_payload",
            "from 1 to 100"
        ),
        (
            "{\"operation\":\"convert\",\"widht\":8,\"input\":{\"base64\":\"DOT\"}}", "invalid_payload",
            "did you mean \"width\""
        ),
        (
            "{\"operation\":\"convert\",\"input\":{\"base64\":\"aGVsbG8gd29ybGQ=\"}}", "unsupported_image",
            "JPEG, PNG, WebP or GIF"
        ),
        ("{\"operation\":\"convert\",\"input\":{\"file\":\"../x.png\"}}", "invalid_payload", "not allowed"),
        (
            "{\"operation\":\"resize\",\"width\":8192,\"input\":{\"base64\":\"DOT\"}}", "too_large",
            "the result would have 8192x8192"
        ),
    ])
    func badInputIsRefused(payload: String, type: String, message: String) async throws {
        let error = try await work.failure("image", payload.replacing("DOT", with: Self.dot))
        #expect(error.type == type)
        #expect(error.message.contains(message), "\(error.message)")
        #expect(!error.isRetryable)
    }

    /// A vector format: libvips knows it, and its loader is barred.
    @Test func barredFormatsAreRefused() async throws {
        let svg =
            #"<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="5" height="5"/></svg>"#
        let input = Data(svg.utf8).base64EncodedString()
        let error = try await work.failure("image", "{\"operation\":\"convert\",\"input\":{\"base64\":\"\(input)\"}}")
        #expect(error.type == "unsupported_image")
    }

    /// A PNG whose header promises 65,535 x 65,535 pixels is refused before anything of that size is allocated.
    @Test func aDecompressionBombIsRefusedByItsHeader() async throws {
        func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
            let body = Array(type.utf8) + content
            return bigEndian(UInt32(content.count)) + body + bigEndian(Self.crc32(body))
        }
        func bigEndian(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
        let header = bigEndian(65_535) + bigEndian(65_535) + [8, 2, 0, 0, 0]
        let bytes =
            [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header) + chunk("IDAT", [])
            + chunk("IEND", [])
        let input = Data(bytes).base64EncodedString()
        let error = try await work.failure(
            "image", "{\"operation\":\"thumbnail\",\"width\":8,\"input\":{\"base64\":\"\(input)\"}}")
        #expect(error.type == "too_large")
        #expect(error.message.contains("65535x65535"))
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(UInt32.max) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
        }
    }

    @Test func anInputFileAboveTheLimitIsRefused() async throws {
        try work.write([UInt8](repeating: 0, count: HandlerLimits.inputFileBytes + 1), to: "large.png")
        let error = try await work.failure("image", "{\"operation\":\"convert\",\"input\":{\"file\":\"large.png\"}}")
        #expect(error.type == "too_large")
    }

    @Test func renderingStopsWhenItIsCancelled() throws {
        let bytes = Array(try #require(Data(base64Encoded: Self.dot)))
        var order = images_order(
            width: 4000, height: 4000, crop_width: 4000, crop_height: 4000, format: IMAGES_PNG, quality: 80,
            is_cancelled: { _ in true }, context: nil)
        var output = images_output()
        var message = [CChar](repeating: 0, count: IMAGES_MESSAGE_BYTES)
        let status = images_render(bytes, bytes.count, &order, &output, &message)
        #expect(status == IMAGES_CANCELLED)
        #expect(output.bytes == nil)
    }

    /// Pillow as the oracle: sizes, and colours within what JPEG and another scaling filter may change.
    @Test(.enabled(if: Oracle.hasPillow, "Pillow with WebP is missing")) func pillowAgreesOnWhatIsSeen() async throws {
        let made = try Oracle.ask(Self.make, .null)
        var results: [JSONValue] = []
        for (number, input) in made.elements.enumerated() {
            for (index, options) in [
                "\"operation\":\"thumbnail\",\"width\":64,\"height\":64",
                "\"operation\":\"convert\",\"format\":\"png\"",
                #""operation":"resize","width":80,"height":80,"fit":"cover","format":"webp","quality":95"#,
                "\"operation\":\"resize\",\"width\":50,\"height\":70,\"fit\":\"fill\",\"format\":\"png\"",
            ].enumerated() {
                let payload = "{\(options),\"input\":{\"base64\":\(input["base64"]?.rendered ?? "")}}"
                let result = try await work.run("image", payload, id: UInt64(number * 10 + index))
                let file = work.path + "/" + (try #require(result["file"]?.text))
                results.append(
                    .object([
                        .init("input", input), .init("request", try JSONParser.parse(Array("{\(options)}".utf8))),
                        .init("file", .string(file)), .init("result", result),
                    ]))
            }
        }
        #expect(results.count >= 48)
        let faults = try Oracle.ask(Self.compare, .array(results))
        #expect(faults == .array([]))
    }

    @Test(.enabled(if: Oracle.hasPillow, "Pillow with WebP is missing")) func damagedImagesAreRefused() async throws {
        let made = try Oracle.ask(Self.make, .null)
        for input in made.elements {
            let base64 = try #require(input["base64"]?.text)
            let bytes = try #require(Data(base64Encoded: base64))
            let cut = bytes.prefix(bytes.count / 2).base64EncodedString()
            let error = try await work.failure(
                "image", "{\"operation\":\"convert\",\"format\":\"png\",\"input\":{\"base64\":\"\(cut)\"}}")
            #expect(error.type == "invalid_image", "\(input["name"]?.text ?? ""): \(error)")
            #expect(!error.isRetryable)
        }
    }

    /// Images of two gradients and a corner of another colour, so that turning and mirroring show.
    private static let make = """
        import base64, io
        from PIL import Image
        def picture(mode):
            image = Image.new('RGB', (160, 120))
            image.putdata([(255, 40, 40) if x < 60 and y < 40 else (x, y * 2, 128)
                           for y in range(120) for x in range(160)])
            if mode == 'RGBA': image.putalpha(Image.linear_gradient('L').resize((160, 120)))
            return {'L': lambda: image.convert('L'), 'P': lambda: image.quantize(128)}.get(mode, lambda: image)()
        made = []
        def add(name, mode, **options):
            stream = io.BytesIO()
            picture(mode).save(stream, **options)
            made.append({'name': name, 'base64': base64.b64encode(stream.getvalue()).decode()})
        for turn in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = turn
            add('turned %d' % turn, 'RGB', format='JPEG', quality=95, exif=exif)
        add('progressive', 'RGB', format='JPEG', quality=95, progressive=True)
        add('grey', 'L', format='PNG')
        add('palette', 'P', format='PNG')
        add('transparent', 'RGBA', format='PNG')
        add('webp', 'RGB', format='WEBP', quality=95)
        answer(made)
        """

    private static let compare = """
        import base64, io
        from PIL import Image, ImageOps, ImageStat, ImageChops
        faults = []
        for case in data:
            request, result = case['request'], case['result']
            source = ImageOps.exif_transpose(Image.open(io.BytesIO(base64.b64decode(case['input']['base64']))))
            # Pillow does not interpolate palettes.
            if source.mode == 'P': source = source.convert('RGB')
            if request.get('format', 'jpeg') == 'jpeg' and source.mode == 'RGBA':
                source = Image.alpha_composite(Image.new('RGBA', source.size, 'white'), source)
            if request['operation'] == 'thumbnail': source.thumbnail((64, 64), Image.LANCZOS)
            elif request.get('fit') == 'cover': source = ImageOps.fit(source, (80, 80), Image.LANCZOS)
            elif request.get('fit') == 'fill': source = source.resize((50, 70), Image.LANCZOS)
            image = Image.open(case['file'])
            name = case['input']['name'] + ' ' + str(request)
            if image.format.lower() != result['format']: faults.append([name, 'format', image.format])
            if image.size != (result['width'], result['height']): faults.append([name, 'told', image.size])
            if any(abs(a - b) > 1 for a, b in zip(image.size, source.size)):
                faults.append([name, 'size', image.size, source.size])
            # libvips writes a resolution and "upright" of its own into WebP.
            tags = set(image.getexif()) - ({274, 282, 283, 296, 531, 34665} if image.format == 'WEBP' else set())
            if tags or image.getexif().get(274, 1) != 1 or 'icc_profile' in image.info:
                faults.append([name, 'metadata'])
            if ('A' in image.mode) != (source.mode == 'RGBA' and image.format != 'JPEG'): faults.append([name, 'alpha'])
            def flat(picture):
                picture = picture.convert('RGBA')
                return Image.alpha_composite(Image.new('RGBA', picture.size, 'white'), picture).convert('RGB')
            difference = ImageChops.difference(flat(image), flat(source).resize(image.size))
            mean = max(ImageStat.Stat(difference).mean)
            if mean > 4: faults.append([name, 'colour', mean])
        answer(faults)
        """
}

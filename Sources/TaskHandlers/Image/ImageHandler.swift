import Foundation
import Primitives
import TaskExecution

/// `image`: one image from another.
///
///     {"operation": "thumbnail", "input": {"base64": "..."}, "width": 128, "height": 128, "format": "jpeg"}
///
/// - `operation`: `thumbnail` sizes down, `resize` also up, `convert` keeps the size.
/// - `input`: JPEG, PNG, WebP or the first frame of a GIF, as `base64` or as a `file` under the work folder.
/// - `width`, `height`, `fit`: see `ImageGeometry`. `format`: `jpeg` (unless said), `png`, `webp`. `quality`: 1...100
///   (80).
/// - `output`: `file` (unless said) or `base64`.
///
/// The image is turned upright as EXIF says, converted to sRGB, and written without metadata, to `images/<task
/// id>.<format>` in the work folder: another run of the task replaces the file by the same one. The result is
/// `{"format", "width", "height", "bytes", "file"}`, with `base64` in place of `file` if asked for.
struct ImageHandler: TaskHandler {
    let taskType = "image"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        try await OffloadPool.shared.run { flag in
            let request = try ImageRequest(try JSONParser.parse(attempt.payload))
            let folder = WorkFolder(attempt.workDirectory)
            let input: [UInt8]
            switch request.input {
            case .bytes(let bytes): input = bytes
            case .file(let name):
                input = try folder.read(name, at: "payload.input.file", upTo: HandlerLimits.inputFileBytes)
            }
            let image = try ImageCodec.render(input, request, flag)
            return try result(image, request, attempt, folder)
        }
    }

    private func result(
        _ image: ImageCodec.Encoded, _ request: ImageRequest, _ attempt: TaskAttempt, _ folder: WorkFolder
    ) throws -> [UInt8] {
        let place: JSONValue.Member
        switch request.destination {
        case .file:
            let name = "images/\(attempt.id).\(request.format.fileExtension)"
            try folder.write(image.bytes, to: name, for: attempt)
            place = .init("file", .string(name))
        case .base64:
            guard image.bytes.count <= HandlerLimits.inlineImageBytes else {
                throw HandlerError(
                    type: "too_large",
                    message:
                        "the image has \(image.bytes.count) bytes, at most \(HandlerLimits.inlineImageBytes) go into "
                        + "a result: use \"output\": \"file\"",
                    isRetryable: false)
            }
            place = .init("base64", .string(Data(image.bytes).base64EncodedString()))
        }
        return JSONValue.object([
            .init("format", .string(request.format.rawValue)),
            .init("width", .integer(Int64(image.size.width))),
            .init("height", .integer(Int64(image.size.height))),
            .init("bytes", .integer(Int64(image.bytes.count))),
            place,
        ]).bytes
    }
}

import Foundation
import Primitives
import TaskExecution

/// The payload of `image`, decoded. See `ImageHandler` for what it means.
struct ImageRequest: Sendable {
    enum Operation: String, CaseIterable, Sendable {
        case thumbnail
        case resize
        case convert
    }

    enum Format: String, CaseIterable, Sendable {
        case jpeg
        case png
        case webp

        var fileExtension: String { self == .jpeg ? "jpg" : rawValue }
    }

    enum Destination: String, CaseIterable, Sendable {
        case file
        case base64
    }

    enum Input: Sendable {
        case bytes([UInt8])
        /// A path under the work folder.
        case file(String)
    }

    var operation: Operation
    var input: Input
    var geometry: ImageGeometry
    var format: Format
    var quality: Int
    var destination: Destination

    init(_ payload: JSONValue) throws(HandlerError) {
        let fields = try Fields(
            payload, at: "payload",
            known: ["operation", "input", "width", "height", "fit", "format", "quality", "output"])
        operation = try fields.required("operation", try fields.choice("operation", Operation.self))
        input = try Self.input(try fields.required("input", fields.value("input")))
        format = try fields.choice("format", Format.self) ?? .jpeg
        quality = try fields.integer("quality", in: 1...100) ?? 80
        if fields.value("quality") != nil, format == .png { throw fields.failure("quality", "has no meaning for png") }
        destination = try fields.choice("output", Destination.self) ?? .file

        let width = try fields.integer("width", in: 1...HandlerLimits.outputSide)
        let height = try fields.integer("height", in: 1...HandlerLimits.outputSide)
        let fit = try fields.choice("fit", ImageGeometry.Fit.self)
        switch operation {
        case .convert:
            guard width == nil, height == nil, fit == nil else {
                throw fields.failure(
                    "operation", "\"convert\" keeps the size: use \"resize\" with width, height and fit")
            }
        case .thumbnail, .resize:
            guard width != nil || height != nil else {
                throw fields.failure("width", "is missing, and so is height: at least one is needed")
            }
            guard fit ?? .contain == .contain || (width != nil && height != nil) else {
                throw fields.failure("fit", "\"cover\" and \"fill\" need both width and height")
            }
        }
        geometry = ImageGeometry(
            width: width, height: height, fit: fit ?? .contain, mayEnlarge: operation == .resize)
    }

    private static func input(_ value: JSONValue) throws(HandlerError) -> Input {
        let fields = try Fields(value, at: "payload.input", known: ["base64", "file"])
        switch (try fields.string("base64"), try fields.string("file")) {
        case (let text?, nil):
            guard let data = Data(base64Encoded: text), !data.isEmpty else {
                throw fields.failure("base64", "is not base64 (RFC 4648, padded, without line ends), or is empty")
            }
            return .bytes(Array(data))
        case (nil, let name?): return .file(name)
        case (nil, nil), (.some, .some):
            throw .invalidPayload("payload.input must have exactly one of \"base64\" and \"file\"")
        }
    }
}

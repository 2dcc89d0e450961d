import CImages
import TaskExecution

/// libvips, behind the target `CImages`: this file alone imports it.
enum ImageCodec {
    struct Encoded: Sendable {
        var bytes: [UInt8]
        var size: ImageGeometry.Size
    }

    /// Decodes, turns upright, sizes and encodes; in the calling thread, which it blocks.
    static func render(
        _ bytes: [UInt8], _ request: ImageRequest, _ flag: CancellationFlag
    ) throws -> Encoded {
        let plan = try plan(bytes, request)
        try flag.check()
        var output = images_output()
        var order = images_order()
        order.width = Int32(plan.scaled.width)
        order.height = Int32(plan.scaled.height)
        order.crop_width = Int32(plan.cropped.width)
        order.crop_height = Int32(plan.cropped.height)
        order.quality = Int32(request.quality)
        order.format =
            switch request.format {
            case .jpeg: IMAGES_JPEG
            case .png: IMAGES_PNG
            case .webp: IMAGES_WEBP
            }
        order.is_cancelled = { context in
            guard let context else { return false }
            return Unmanaged<CancellationFlag>.fromOpaque(context).takeUnretainedValue().isCancelled
        }
        // Not retained: the flag is kept alive for the whole call, and C keeps nothing after it.
        order.context = Unmanaged.passUnretained(flag).toOpaque()
        try withExtendedLifetime(flag) {
            try call { message in
                bytes.withUnsafeBytes { images_render($0.baseAddress, $0.count, &order, &output, message) }
            }
        }
        defer { images_release(output.bytes) }
        return Encoded(
            bytes: Array(UnsafeRawBufferPointer(start: output.bytes, count: output.length)),
            size: ImageGeometry.Size(width: Int(output.width), height: Int(output.height)))
    }

    /// The size of the upright image, from its first bytes, and what becomes of it, both within their limits.
    private static func plan(_ bytes: [UInt8], _ request: ImageRequest) throws -> ImageGeometry.Plan {
        var header = images_header()
        try call { message in
            bytes.withUnsafeBytes { images_probe($0.baseAddress, $0.count, &header, message) }
        }
        let stored = ImageGeometry.Size(width: Int(header.width), height: Int(header.height))
        guard stored.pixels <= HandlerLimits.inputPixels else {
            throw tooLarge("the image has \(stored.width)x\(stored.height)", HandlerLimits.inputPixels)
        }
        // Orientations from 5 on are those on their side.
        let isOnItsSide = header.orientation >= 5
        let plan = request.geometry.plan(
            for: isOnItsSide ? ImageGeometry.Size(width: stored.height, height: stored.width) : stored)
        let size = plan.scaled
        guard size.pixels <= HandlerLimits.outputPixels || request.operation == .convert else {
            throw tooLarge("the result would have \(size.width)x\(size.height)", HandlerLimits.outputPixels)
        }
        return plan
    }

    private static func tooLarge(_ what: String, _ limit: Int) -> HandlerError {
        HandlerError(type: "too_large", message: "\(what) pixels, at most \(limit) are allowed", isRetryable: false)
    }

    private static func call(_ function: (UnsafeMutablePointer<CChar>) -> images_status) throws {
        var buffer = [CChar](repeating: 0, count: IMAGES_MESSAGE_BYTES)
        let status = buffer.withUnsafeMutableBufferPointer { buffer in
            // Never empty, so it has a base address; the other status says what to do if that ever changes.
            buffer.baseAddress.map(function) ?? IMAGES_FAILED
        }
        let message = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        switch status {
        case IMAGES_OK: return
        case IMAGES_CANCELLED: throw CancellationError()
        case IMAGES_UNSUPPORTED:
            throw HandlerError(
                type: "unsupported_image", message: "the input is not a JPEG, PNG, WebP or GIF image",
                isRetryable: false)
        case IMAGES_DAMAGED:
            throw HandlerError(
                type: "invalid_image", message: "the image could not be converted: \(message)", isRetryable: false)
        default:
            throw HandlerError(type: "image_library", message: "libvips failed: \(message)", isRetryable: true)
        }
    }
}

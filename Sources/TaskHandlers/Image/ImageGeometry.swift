/// Which size an image gets.
///
/// `contain` (unless said): as large as fits into the box of width and height, either of which may be open; proportions
/// stay. `cover`: the smallest that covers the box, then the middle of it is cut out. `fill`: exactly the box,
/// proportions go. What may not enlarge stays as it is in a direction in which it is smaller than asked for.
struct ImageGeometry: Sendable {
    enum Fit: String, CaseIterable, Sendable {
        case contain
        case cover
        case fill
    }

    struct Size: Hashable, Sendable {
        var width: Int
        var height: Int

        var pixels: Int { width.multipliedReportingOverflow(by: height).overflow ? .max : width * height }
    }

    /// What to scale to, and what to keep of that.
    struct Plan: Hashable, Sendable {
        var scaled: Size
        var cropped: Size
    }

    var width: Int?
    var height: Int?
    var fit: Fit
    var mayEnlarge: Bool

    /// - Parameter source: the size of the upright image.
    func plan(for source: Size) -> Plan {
        let widthRatio = width.map { Double($0) / Double(source.width) }
        let heightRatio = height.map { Double($0) / Double(source.height) }
        let ratios = [widthRatio, heightRatio].compactMap(\.self)
        let bound = mayEnlarge ? Double.infinity : 1

        func scaled(by ratio: Double) -> Size {
            func side(_ length: Int) -> Int { max(1, Int((Double(length) * min(ratio, bound)).rounded())) }
            return Size(width: side(source.width), height: side(source.height))
        }
        switch fit {
        case .contain:
            guard let ratio = ratios.min() else { return Plan(scaled: source, cropped: source) }
            let size = scaled(by: ratio)
            return Plan(scaled: size, cropped: size)
        case .cover:
            guard let ratio = ratios.max() else { return Plan(scaled: source, cropped: source) }
            let size = scaled(by: ratio)
            let kept = Size(
                width: min(size.width, width ?? size.width), height: min(size.height, height ?? size.height))
            return Plan(scaled: size, cropped: kept)
        case .fill:
            var size = Size(width: width ?? source.width, height: height ?? source.height)
            if !mayEnlarge {
                size = Size(width: min(size.width, source.width), height: min(size.height, source.height))
            }
            return Plan(scaled: size, cropped: size)
        }
    }
}

import Foundation

/// Columns of text, aligned, as wide as they must be. What does not fit into the given width loses whole columns, those
/// with the greatest `rank` first.
struct Table {
    struct Column {
        var title: String
        var isRightAligned = false
        /// 0: never left out.
        var rank = 0
    }

    struct Cell: ExpressibleByStringLiteral {
        var text: String
        var colour: Terminal.Colour?

        init(_ text: String, _ colour: Terminal.Colour? = nil) {
            self.text = text
            self.colour = colour
        }

        init(stringLiteral text: String) { self.init(text) }

        /// A count; `-` if it is not known.
        init(_ count: (some BinaryInteger)?) { self.init(count.map(compact) ?? "-") }
    }

    var columns: [Column]
    var rows: [[Cell]] = []

    /// Between two columns.
    private static let gap = "  "

    /// Lines, the titles first. `width` nil: as wide as it gets.
    func lines(width: Int?, terminal: Terminal) -> [String] {
        var shown = Array(columns.indices)
        func widthOf(_ column: Int) -> Int {
            max(columns[column].title.count, rows.map { $0[column].text.count }.max() ?? 0)
        }
        if let width {
            while shown.map(widthOf).reduce(0, +) + (shown.count - 1) * Self.gap.count > width,
                let victim = shown.filter({ columns[$0].rank > 0 }).max(by: { columns[$0].rank < columns[$1].rank })
            {
                shown.removeAll { $0 == victim }
            }
        }
        func line(_ cells: [Cell]) -> String {
            var text = ""
            for (place, column) in shown.enumerated() {
                let cell = cells[column]
                let fill = String(repeating: " ", count: max(0, widthOf(column) - cell.text.count))
                let painted = terminal.paint(cell.text, cell.colour)
                let isLast = place == shown.count - 1
                text += columns[column].isRightAligned ? fill + painted : painted + (isLast ? "" : fill)
                if !isLast { text += Self.gap }
            }
            return text
        }
        return [line(columns.map { Cell($0.title, .grey) })] + rows.map(line)
    }
}

/// At most six characters: `99999`, then `100k`, `12345k`, `100M`.
func compact(_ count: some BinaryInteger) -> String {
    if count < 100_000 { return String(count) }
    if count < 100_000_000 { return String(count / 1000) + "k" }
    return String(count / 1_000_000) + "M"
}

/// At most seven characters: `512 B`, `9.9 kB`, `640 MB`, `1.2 GB`. Powers of 1000.
func bytesText(_ count: UInt64) -> String {
    if count < 1000 { return "\(count) B" }
    var value = Double(count) / 1000
    var units = ["kB", "MB", "GB", "TB"][...]
    // 999.5 would be written as 1000.
    while value >= 999.5, units.count > 1 {
        value /= 1000
        units = units.dropFirst()
    }
    let digits = value < 9.95 ? 1 : 0
    return String(format: "%.\(digits)f ", value) + (units.first ?? "")
}

/// The text, or its beginning and an ellipsis.
func clipped(_ text: String, _ length: Int) -> String {
    text.count <= length ? text : text.prefix(length - 1) + "…"
}

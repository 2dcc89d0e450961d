import Foundation

/// Where output goes, and what it may look like there.
struct Terminal: Sendable {
    /// Colours, only for people: not in a pipe, and not with `NO_COLOR` (no-color.org).
    var isColoured: Bool
    var isInteractive: Bool
    /// Characters of a line; nil: as many as one likes.
    var columns: Int?

    static let output = Terminal(descriptor: STDOUT_FILENO)

    init(descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment) {
        isInteractive = isatty(descriptor) == 1
        var size = winsize()
        if isInteractive, ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 {
            columns = Int(size.ws_col)
        }
        isColoured = isInteractive && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    init(isColoured: Bool, isInteractive: Bool, columns: Int? = nil) {
        self.isColoured = isColoured
        self.isInteractive = isInteractive
        self.columns = columns
    }

    enum Colour: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case grey = "90"
        case bold = "1"
    }

    func paint(_ text: String, _ colour: Colour?) -> String {
        guard isColoured, let colour else { return text }
        return "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m"
    }
}

/// Writes at once, also into a pipe.
func say(_ text: String, terminator: String = "\n") {
    print(text, terminator: terminator)
    fflush(nil)
}

/// Tells how something goes on: on a terminal one line that is written over, else a line per change.
actor Progress {
    private let terminal: Terminal
    private var last = ""
    private var isOpen = false

    init(_ terminal: Terminal = .output) { self.terminal = terminal }

    func show(_ text: String) {
        guard text != last else { return }
        last = text
        if terminal.isInteractive {
            say("\r\u{1B}[K" + text, terminator: "")
            isOpen = true
        } else {
            say(text)
        }
    }

    /// Leaves what was shown last and begins a new line.
    func end() {
        if isOpen { say("") }
        isOpen = false
    }
}

/// `0.12 s`
func shown(_ duration: Duration, digits: Int = 1) -> String {
    String(format: "%.\(digits)f s", duration / .seconds(1))
}

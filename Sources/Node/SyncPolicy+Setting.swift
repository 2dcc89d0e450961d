public import Journal
import Primitives

/// How `--sync` spells the policy: `always`, `interval` (100 ms), `interval:250ms`, `never`.
extension SyncPolicy {
    /// What `interval` means without a time.
    public static let standardInterval = Duration.milliseconds(100)
    /// Times that `interval:TIME` takes. Above it a loss of power costs more than anybody wants to explain.
    public static let intervalRange = Duration.milliseconds(1)...(.seconds(60))

    /// The words of the setting, for help and for errors.
    public static let settings = ["always", "interval", "never"]

    /// Nil: `setting` is none. The time of an interval is whole milliseconds (`250ms`) or seconds (`2s`).
    public init?(setting: some StringProtocol) {
        switch setting {
        case "always": self = .always
        case "never": self = .never
        case "interval": self = .interval(Self.standardInterval)
        default:
            guard setting.hasPrefix("interval:") else { return nil }
            let time = setting.dropFirst("interval:".count)
            let duration: Duration? =
                if time.hasSuffix("ms") {
                    UInt32(time.dropLast(2)).map { .milliseconds(Int64($0)) }
                } else if time.hasSuffix("s") {
                    UInt32(time.dropLast()).map { .seconds(Int64($0)) }
                } else {
                    nil
                }
            guard let duration, Self.intervalRange.contains(duration) else { return nil }
            self = .interval(duration)
        }
    }

    /// As it would be said.
    public var setting: String {
        switch self {
        case .always: "always"
        case .interval(let duration): "interval:\(duration.milliseconds)ms"
        case .never: "never"
        }
    }
}

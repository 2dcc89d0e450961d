import Glibc
import NIOHTTP1
import Primitives

/// The rest that a server asks for: `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3); at most a day.
enum RetryAfter {
    static func parse(_ headers: HTTPHeaders, now: Timestamp) -> Duration? {
        guard let text = headers.first(name: "retry-after") else { return nil }
        let longest = Duration.milliseconds(Int64(Limits.retryAfterMilliseconds))
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), !text.isEmpty {
            return Int64(text).map { min(.seconds(min($0, 1 << 32)), longest) } ?? longest
        }
        guard let time = date(text) else { return nil }
        return min(max(.milliseconds(time.milliseconds - now.milliseconds), .zero), longest)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that may still be sent.
    private static func date(_ text: String) -> Timestamp? {
        let parts = text.split(separator: " ")
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: String(parts[2])) else {
            return nil
        }
        return Timestamp(rfc3339: "\(parts[3])-\(month < 9 ? "0" : "")\(month + 1)-\(parts[1])T\(parts[4])Z")
    }

    /// The wall clock.
    static var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

import Primitives

/// How far the clocks of a place are from UTC, and when that changes: the content of a file of the IANA time zone database
/// (TZif, RFC 8536), as every system has them.
///
/// The rule for the future that stands at the end of such a file is written out up to the year `Limits.zoneYear`; from then
/// on nothing changes any more.
public struct TimeZoneRules: Hashable, Sendable {
    public let name: String
    private let initialOffset: Int64
    private let changes: [Change]

    struct Change: Hashable, Sendable {
        /// Seconds since 1970, in UTC.
        var at: Int64
        /// From then on: seconds that the clocks are ahead of UTC.
        var offset: Int64
    }

    /// A time in which the clocks are not changed.
    struct Span {
        /// Nil: it has no beginning.
        var start: Int64?
        /// Nil: it has no end.
        var end: Int64?
        var offset: Int64
        /// Before its beginning.
        var previousOffset: Int64
    }

    public static let utc = TimeZoneRules(name: "UTC", initialOffset: 0, changes: [])

    init(name: String, initialOffset: Int64, changes: [Change]) {
        self.name = name
        self.initialOffset = initialOffset
        var offset = initialOffset
        // Only the offset matters here, and it does not always change.
        self.changes = changes.filter { change in
            defer { offset = change.offset }
            return change.offset != offset
        }
    }

    /// Of the content of a TZif file.
    public init(name: String, file bytes: [UInt8]) throws(ScheduleError) {
        let content: (initialOffset: Int64, changes: [Change])
        do throws(ScheduleError) {
            var reader = TimeZoneReader(bytes)
            content = try reader.read()
        } catch {
            throw ScheduleError("the time zone \(name) cannot be read: \(error)")
        }
        self.init(name: name, initialOffset: content.initialOffset, changes: content.changes)
    }

    func span(at time: Int64) -> Span {
        var (low, high) = (0, changes.count)
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].at <= time { low = middle + 1 } else { high = middle }
        }
        let end = low < changes.count ? changes[low].at : nil
        guard low > 0 else { return Span(end: end, offset: initialOffset, previousOffset: initialOffset) }
        return Span(
            start: changes[low - 1].at, end: end, offset: changes[low - 1].offset,
            previousOffset: low > 1 ? changes[low - 2].offset : initialOffset)
    }

    /// Whether `name` can be the name of a zone: nothing that would lead out of the folder of zones.
    public static func isValid(_ name: String) -> Bool {
        (1...Limits.nameBytes).contains(name.utf8.count)
            && name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
                part.first?.isLetter == true
                    && part.utf8.allSatisfy { byte in
                        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                            || [0x2B, 0x2D, 0x5F].contains(byte)
                    }
            }
    }
}

/// Reads a TZif file. It may be damaged, or none: every length is looked at before it is believed.
private struct TimeZoneReader {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private struct Header {
        var version: UInt8
        var utcCount, standardCount, leapCount, timeCount, typeCount, letterCount: Int
    }

    mutating func read() throws(ScheduleError) -> (initialOffset: Int64, changes: [TimeZoneRules.Change]) {
        var header = try readHeader()
        var width = 4
        if header.version >= UInt8(ascii: "2") {
            // The first block is for readers of 32 bits, and may be empty.
            let types = header.typeCount * 6 + header.letterCount
            try skip(header.timeCount * 5 + types + header.leapCount * 8 + header.standardCount + header.utcCount)
            header = try readHeader()
            width = 8
        }
        guard header.leapCount == 0 else { throw ScheduleError("it counts leap seconds") }
        guard header.typeCount > 0 else { throw ScheduleError("it has no type of local time") }
        var times: [Int64] = []
        for _ in 0..<header.timeCount { times.append(try number(width)) }
        var kinds: [Int] = []
        for _ in 0..<header.timeCount { kinds.append(Int(try number(1) & 0xFF)) }
        var offsets: [Int64] = []
        for _ in 0..<header.typeCount {
            offsets.append(try number(4))
            try skip(2)
        }
        guard kinds.allSatisfy({ $0 < offsets.count }) else { throw ScheduleError("it names a type that it lacks") }
        guard zip(times, times.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw ScheduleError("its times do not ascend")
        }
        guard offsets.allSatisfy({ abs($0) <= 26 * 3600 }) else { throw ScheduleError("an offset is beyond a day") }
        var changes = zip(times, kinds).map { TimeZoneRules.Change(at: $0, offset: offsets[$1]) }
        if width == 8 {
            try skip(header.letterCount + header.standardCount + header.utcCount)
            var footer = PosixTimeZone(try readFooter())
            changes += try footer.changes(after: times.last)
        }
        return (offsets[0], changes)
    }

    private mutating func readHeader() throws(ScheduleError) -> Header {
        guard bytes.count >= place + 44, Array(bytes[place..<place + 4]) == Array("TZif".utf8) else {
            throw ScheduleError("it is no TZif file")
        }
        let version = bytes[place + 4]
        place += 20
        var counts: [Int] = []
        for _ in 0..<6 {
            let count = try number(4)
            guard (0...10_000).contains(count) else { throw ScheduleError("it has \(count) entries of a kind") }
            counts.append(Int(count))
        }
        return Header(
            version: version, utcCount: counts[0], standardCount: counts[1], leapCount: counts[2],
            timeCount: counts[3], typeCount: counts[4], letterCount: counts[5])
    }

    private mutating func skip(_ count: Int) throws(ScheduleError) {
        guard bytes.count - place >= count else { throw ScheduleError("it ends too early") }
        place += count
    }

    /// Big-endian, with a sign.
    private mutating func number(_ width: Int) throws(ScheduleError) -> Int64 {
        guard bytes.count - place >= width else { throw ScheduleError("it ends too early") }
        var value: UInt64 = 0
        for byte in bytes[place..<place + width] { value = value << 8 | UInt64(byte) }
        place += width
        let shift = UInt64(64 - 8 * width)
        return Int64(bitPattern: value << shift) >> Int64(shift)
    }

    private mutating func readFooter() throws(ScheduleError) -> [UInt8] {
        guard place < bytes.count, bytes[place] == UInt8(ascii: "\n"),
            let end = bytes[(place + 1)...].firstIndex(of: UInt8(ascii: "\n"))
        else { throw ScheduleError("it lacks its last line") }
        return Array(bytes[(place + 1)..<end])
    }
}

extension Limits {
    /// Up to here it is known when clocks will be changed.
    static let zoneYear: Int64 = 2120
}

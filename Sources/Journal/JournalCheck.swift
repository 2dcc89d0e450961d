import EventLoop
import Primitives

/// Judges what the segments of a journal hold: what a start may rely on, what it cuts, and what it has to refuse.
///
/// A group is written when the one before it has been written, in one segment after the other; a segment is synced
/// whole before the next one's first group is written; and every group names the *durable end*, up to which the journal
/// was synced when it was written. So after a loss of power the journal is intact up to the durable end that any later
/// group names, and above it may hold anything: groups that never came, groups in part, and, since disks do not keep
/// the order of writes, intact groups behind them. Hence, for the first place D at which there is no intact group:
///
/// - A group anywhere behind D, of which at least the header is intact, names a durable end above D, or a later segment
///   holds more than its header: what is damaged at D was durable. It is a **corrupt middle**, and refused.
/// - Otherwise D begins a **torn tail**. All from D on is cut, intact groups, too: none of it was durable, as far as
///   can be known, and nothing may follow a gap.
/// - A flaw that no torn write can cause (a checksum that is right over contents that make no sense) is refused
///   anywhere.
///
/// So a flipped bit in what a later group names is always refused. In *the last group that nothing names yet* it looks
/// like a torn write, and is cut, although it may have been durable: the cut is reported, and one group at most is lost
/// that way with the policy `always` (with the others, what was written since the last sync). The journal keeps this
/// window short: a quiet journal names its end by an empty group after a second, and a closed one at once. That the
/// file system forgets whole files or the end of one at a group's border is seen as far as something else names it.
///
/// **Snapshots.** With the end mark of a snapshot intact, all segments before the one with its begin mark are
/// *superseded*: whether they are there, and intact, does not matter. Without one the journal has to begin with segment
/// 1.
///
/// **Empty segments**, of which at most the header was written, are found at the end after a crash: the next segment is
/// made before it is needed. A broken header there is one that was being written.
struct JournalCheck {
    var refusal: JournalRefusal?
    var cut: JournalCut?
    /// The last that is intact and complete.
    var snapshot: Snapshot?
    /// Those that count, ascending: not superseded.
    var segments: ArraySlice<SegmentScan> = []
    var superseded: ArraySlice<SegmentScan> = []
    /// The last of `segments` with more than a header.
    var last: SegmentScan?
    /// Those behind `last`.
    var empty: ArraySlice<SegmentScan> = []
    var owner: StoreHolder?
    /// The greatest durable end that is named.
    var lastNamed: JournalPosition?

    struct Snapshot: Equatable {
        var number: UInt64
        var begin: JournalPosition
        /// After the end mark.
        var end: JournalPosition
    }

    /// - Parameters:
    ///   - scans: every segment there is, ascending.
    ///   - expected: whose journal it has to be; nil takes what the first intact header says.
    init(_ scans: [SegmentScan], expected: StoreHolder?) {
        let headers = scans.compactMap { try? $0.header.get() }  // A flaw is judged below.
        owner = expected ?? headers.first?.owner
        snapshot = Self.lastSnapshot(scans)
        let first = scans.firstIndex { $0.number >= snapshot?.begin.segment ?? 0 } ?? scans.endIndex
        superseded = scans[..<first]
        segments = scans[first...]
        let behind = (segments.lastIndex { !$0.isEmpty }).map { $0 + 1 } ?? segments.startIndex
        empty = segments[behind...]
        last = segments[..<behind].last
        lastNamed = segments.lazy.flatMap(\.named).max()
        refusal = refuseOwner(scans) ?? refuseDamage()
        guard refusal == nil else { return }
        if let last, last.end < last.bytes {
            cut = JournalCut(file: last.file, offset: last.end, bytes: last.bytes - last.end)
        }
        refusal = refuseGap()
    }

    private static func lastSnapshot(_ scans: [SegmentScan]) -> Snapshot? {
        var open: (number: UInt64, begin: JournalPosition)?
        var complete: Snapshot?
        for scan in scans {
            for mark in scan.marks {
                if mark.isBegin {
                    open = (mark.number, JournalPosition(segment: scan.number, offset: mark.offset))
                } else if let begun = open, begun.number == mark.number {
                    let end = JournalPosition(segment: scan.number, offset: mark.end)
                    complete = Snapshot(number: mark.number, begin: begun.begin, end: end)
                    open = nil
                }
            }
        }
        return complete
    }

    private func refuseOwner(_ scans: [SegmentScan]) -> JournalRefusal? {
        for scan in scans {
            switch scan.header {
            case .success(let header):
                guard let owner, header.owner != owner else { continue }
                return .foreign(file: scan.file, owner: header.owner, expected: owner)
            case .failure(.future(let version)):
                return .future(file: scan.file, version: version, known: SegmentHeader.version)
            case .failure(.damaged): continue
            }
        }
        return nil
    }

    private func refuseGap() -> JournalRefusal? {
        var next = snapshot?.begin.segment ?? 1
        for scan in segments {
            guard scan.number == next else {
                guard next == 1, let cut else { return .missing(from: next, to: scan.number - 1) }
                return .damaged(
                    file: cut.file, offset: cut.offset,
                    reason: "what ended the snapshot that replaces the segments before \(scan.file) is not intact")
            }
            next += 1
        }
        return nil
    }

    private func refuseDamage() -> JournalRefusal? {
        for scan in segments {
            guard let last, scan.number <= last.number else { break }
            let named = segments.lazy.flatMap(\.named).filter { $0.segment == scan.number }.max()
            let reason: String
            if case .failure(.damaged(let flaw)) = scan.header {
                reason = flaw
            } else if let flaw = scan.flaw, !flaw.isTearable {
                reason = flaw.reason + ", which no write that was cut short leaves behind"
            } else if let named, named.offset > scan.end {
                let flaw = scan.flaw?.reason ?? "the file ends here"
                reason = flaw + "; a later group says that all before offset \(named.offset) was durable"
            } else if let flaw = scan.flaw, scan.number < last.number {
                reason = flaw.reason + "; all of it was durable before the next segment began"
            } else {
                continue
            }
            return .damaged(file: scan.file, offset: scan.end, reason: reason)
        }
        return nil
    }
}

extension JournalCheck {
    /// Reads every segment of `volume`, one after the other.
    init(
        _ volume: any Volume, expected: StoreHolder?, checkingRecords: Bool
    ) throws(SystemError) {
        var scans: [SegmentScan] = []
        var store = expected?.store
        for name in try volume.list() {
            guard let number = SegmentName.number(name) else { continue }
            let content = try volume.read(name, upTo: Limits.journalFileBytes) ?? []
            let scan = SegmentScan(content, number: number, store: store, checkingRecords: checkingRecords)
            if store == nil, case .success(let header) = scan.header { store = header.owner.store }
            scans.append(scan)
        }
        self.init(scans, expected: expected)
    }
}

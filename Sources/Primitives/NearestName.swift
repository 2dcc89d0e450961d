/// The one of `names` that `text` was probably meant to be, whatever its case: at most a third of the name's letters (but at
/// least two of a longer one) wrong, missing, added or swapped with their neighbour. Nil if none is near; of equals the
/// first in the alphabet.
public func nearestName(to text: String, among names: some Sequence<String>) -> String? {
    let written = Array(text.lowercased().utf8)
    // A distance takes time by the product of the lengths, and texts come from anywhere.
    guard written.count <= 2 * Limits.nameBytes else { return nil }
    let best = names.map { (distance: distance(written, Array($0.lowercased().utf8)), name: $0) }.min {
        ($0.distance, $0.name) < ($1.distance, $1.name)
    }
    guard let best else { return nil }
    let length = best.name.utf8.count
    return best.distance <= max(2, length / 3) && best.distance < length ? best.name : nil
}

/// Optimal string alignment: Levenshtein's distance with the swap of two neighbours as one edit.
private func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 0..<a.count {
        var row = [i + 1]
        for j in 0..<b.count {
            var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
            row.append(best)
        }
        (beforeLast, last) = (last, row)
    }
    return last[b.count]
}

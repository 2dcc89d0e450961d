/// Figures of finite numbers, to within a few units in the last place whatever the order of the numbers.
enum Statistics {
    /// Compensated (Neumaier, 1974): what rounding takes from the running sum is kept aside and added at the end.
    static func sum(_ values: some Sequence<Double>) -> Double {
        var sum = 0.0
        var lost = 0.0
        for value in values {
            let next = sum + value
            lost += sum.magnitude >= value.magnitude ? (sum - next) + value : (value - next) + sum
            sum = next
        }
        // After an overflow the compensation is not a number, and the sum says what happened.
        return sum.isFinite ? sum + lost : sum
    }

    static func mean(_ values: [Double]) -> Double? {
        values.isEmpty ? nil : sum(values) / Double(values.count)
    }

    /// Of an even number of values, the mean of the two in the middle.
    static func median(_ values: [Double]) -> Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        guard sorted.count.isMultiple(of: 2) else { return sorted[middle] }
        // Halved before they are added: the sum of two doubles may be beyond a double.
        return sorted[middle - 1] / 2 + sorted[middle] / 2
    }

    /// Of squared distances from the mean, in a second pass: no cancellation. Nil unless there are more than `ddof`
    /// values.
    static func variance(_ values: [Double], ddof: Int) -> Double? {
        guard values.count > ddof, let mean = mean(values) else { return nil }
        return sum(values.lazy.map { ($0 - mean) * ($0 - mean) }) / Double(values.count - ddof)
    }
}

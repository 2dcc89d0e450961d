/// The natural logarithm. The standard library has none, and the platforms' differ in the last digit.
func logarithm(_ value: Double) -> Double {
    precondition(value > 0 && value.isFinite, "the logarithm of a count")
    // ln(m 2^e) = e ln 2 + 2 artanh((m - 1) / (m + 1)), whose series falls by a factor of 9 or more per term.
    let t = (value.significand - 1) / (value.significand + 1)
    var power = t
    var sum = 0.0
    for term in 0..<20 {
        sum += power / Double(2 * term + 1)
        power *= t * t
    }
    return Double(value.exponent) * 0.693_147_180_559_945_3 + 2 * sum
}

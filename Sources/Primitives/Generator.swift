/// xoshiro256** (Blackman and Vigna, 2018), seeded through SplitMix64: the random numbers of machines.
///
/// Every machine stores its own, so that the same seed and the same events give the same effects. Production seeds it
/// from the system's entropy; it is not a source of secrets.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var a, b, c, d: UInt64

    public init(seed: UInt64) {
        var state = seed
        func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        a = next()
        b = next()
        c = next()
        d = next()
    }

    public mutating func next() -> UInt64 {
        func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
        let result = rotate(b &* 5, 7) &* 9
        let t = b << 17
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        d = rotate(d, 45)
        return result
    }

    /// A generator whose stream is independent of what is drawn from this one later.
    public mutating func fork() -> SeededGenerator { SeededGenerator(seed: next()) }
}

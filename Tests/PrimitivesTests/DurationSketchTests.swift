import Primitives
import Testing

@Suite struct DurationSketchTests {
    @Test(arguments: [0.5, 0.95, 0.99, 1.0]) func quantiles_are_near_the_truth(part: Double) throws {
        var random = SeededGenerator(seed: 4)
        var sketch = DurationSketch()
        var all: [Double] = []
        for _ in 0..<20_000 {
            // Over seven decades.
            let exponent = Double.random(in: 0...23, using: &random)
            var microseconds = 10.0
            for _ in 0..<Int(exponent) { microseconds *= 2 }
            microseconds *= 1 + exponent - exponent.rounded(.down)
            sketch.add(.nanoseconds(Int64(microseconds * 1000)))
            all.append(microseconds)
        }
        all.sort()
        let truth = all[min(all.count - 1, Int((part * Double(all.count)).rounded(.up)) - 1)]
        let told = Double(try #require(sketch.quantile(part)).nanoseconds) / 1000
        #expect(abs(told - truth) <= truth * 0.063 + 1, "\(told) for \(truth)")
    }

    @Test func sketches_add_up() {
        var (a, b, both) = (DurationSketch(), DurationSketch(), DurationSketch())
        for number in 0..<1000 {
            let duration = Duration.microseconds(number * number)
            if number.isMultiple(of: 3) { a.add(duration) } else { b.add(duration) }
            both.add(duration)
        }
        a.add(b)
        #expect(a == both)
        #expect(a.total == 1000)
    }

    @Test func nothing_has_no_quantile_and_bounds_hold() {
        #expect(DurationSketch().quantile(0.5) == nil)
        var sketch = DurationSketch()
        sketch.add(.seconds(1_000_000_000))
        sketch.add(.zero)
        sketch.add(.seconds(-5))
        #expect(sketch.counts.count == DurationSketch.bucketCount)
        #expect(sketch.quantile(0.5) == .zero)
        #expect(DurationSketch(counts: sketch.counts) == sketch)
        #expect(DurationSketch(counts: [1, 0]) == nil)
        #expect(DurationSketch(counts: Array(repeating: 1, count: DurationSketch.bucketCount + 1)) == nil)
    }
}

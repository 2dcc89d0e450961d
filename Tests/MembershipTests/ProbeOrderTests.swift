import Primitives
import Testing

@testable import Membership

@Suite struct ProbeOrderTests {
    @Test func everyoneComesOnceBeforeAnyoneComesAgain() {
        var random = SeededGenerator(seed: 1)
        var order = ProbeOrder()
        let names = (0..<10).map { name("n\($0)") }
        for name in names { order.insert(name, using: &random) }
        _ = (0..<10).compactMap { _ in order.next(using: &random) }
        var rounds: [[NodeName]] = []
        for _ in 0..<3 { rounds.append((0..<10).compactMap { _ in order.next(using: &random) }) }
        for round in rounds { #expect(round.sorted() == names) }
        #expect(rounds[0] != rounds[1])
    }

    @Test func aNewMemberWaitsForAtMostTwoRounds() {
        var random = SeededGenerator(seed: 2)
        for seed in 0..<50 {
            var order = ProbeOrder()
            for number in 0..<5 { order.insert(name("n\(number)"), using: &random) }
            for _ in 0..<seed % 5 { _ = order.next(using: &random) }
            order.insert(name("new"), using: &random)
            let met = (0..<12).compactMap { _ in order.next(using: &random) }
            #expect(met.contains(name("new")))
        }
    }

    @Test func insertedTwiceComesOnceARoundAndNewPlacesDiffer() {
        var places: Set<Int> = []
        for seed in 0..<20 {
            var random = SeededGenerator(seed: UInt64(seed))
            var order = ProbeOrder()
            for number in 0..<5 { order.insert(name("n\(number)"), using: &random) }
            order.insert(name("n3"), using: &random)
            #expect(order.count == 5)
            let round = (0..<5).compactMap { _ in order.next(using: &random) }
            if let place = round.firstIndex(of: name("n4")) { places.insert(place) }
        }
        #expect(places.count > 2)
    }

    @Test(arguments: 0..<20)
    func aRemovedMemberIsNotProbedAndNobodyIsSkipped(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var order = ProbeOrder()
        for number in 0..<4 { order.insert(name("n\(number)"), using: &random) }
        let first = (0..<2).compactMap { _ in order.next(using: &random) }
        order.remove(first[0])
        let rest = (0..<2).compactMap { _ in order.next(using: &random) }
        #expect(Set(first + rest).count == 4)
        let round = (0..<3).compactMap { _ in order.next(using: &random) }
        #expect(!round.contains(first[0]))
        #expect(Set(round).count == 3)
    }

    @Test func nobodyIsNext() {
        var random = SeededGenerator(seed: 3)
        var order = ProbeOrder()
        #expect(order.next(using: &random) == nil)
    }
}

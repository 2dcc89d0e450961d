import Foundation
import Primitives
import TaskExecution
import Testing

@testable import TaskHandlers

/// Python's csv and numpy as second opinions on random input.
@Suite(.timeLimit(.minutes(2))) struct DataOracleTests {
    @Test(.enabled(if: Oracle.hasPython, "python3 is missing")) func pythonReadsTheSameFields() throws {
        var generator = SeededGenerator(seed: 7)
        let alphabet = Array("aé,,\"\"\n\r x;").map(String.init) + ["\r\n", "\"a\"", "\"\""]
        var cases: [JSONValue] = []
        for _ in 0..<3000 {
            let length = Int.random(in: 0...14, using: &generator)
            let text = (0..<length).compactMap { _ in alphabet.randomElement(using: &generator) }.joined()
            var read = JSONValue.null
            // A refusal is an answer to compare, too.
            if let table = try? CSVParser.parse(
                Array(text.utf8), .init(hasHeader: false), at: "the CSV", CancellationFlag())
            {
                read = .array(
                    (0..<table.rowCount).map { row in
                        .array(table.columns.map { $0.cells[row] == .null ? .string("") : $0.cells[row].json })
                    })
            }
            cases.append(.array([.string(text), read]))
        }
        let script = """
            import csv, io
            faults, refused = [], 0
            for text, read in data:
                try:
                    rows = [row for row in csv.reader(io.StringIO(text, newline=''), strict=True) if row]
                    expected = rows if rows and len({len(row) for row in rows}) == 1 else None
                except csv.Error:
                    expected = None
                refused += expected is None
                if read != expected: faults.append([text, read, expected])
            answer({'faults': faults, 'refused': refused})
            """
        let verdict = try Oracle.ask(script, .array(cases))
        #expect(verdict["faults"] == .array([]))
        // Both kinds were met.
        let refused = try #require(verdict["refused"]?.count)
        #expect((100...2900).contains(refused))
    }

    @Test(.enabled(if: Oracle.hasNumPy, "numpy is missing"), arguments: 1...4 as ClosedRange<UInt64>)
    func numpyAgreesOnEveryFigure(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        var csv = "group,whole,real,wild\n"
        for _ in 0..<3000 {
            let group = ["a", "b", "c", ""].randomElement(using: &generator) ?? ""
            let whole = Int.random(in: -1_000_000...1_000_000, using: &generator)
            let real = Double.random(in: 100...101, using: &generator)
            // Large terms that nearly cancel.
            let scale = ([1e-3, 1, 1e12] as [Double]).randomElement(using: &generator) ?? 1
            let wild = Double.random(in: -1...1, using: &generator) * scale
            csv += "\(group),\(whole),\(real),\(Int.random(in: 0..<9, using: &generator) == 0 ? "" : String(wild))\n"
        }
        var aggregates: [JSONValue] = []
        for column in ["whole", "real", "wild"] {
            for operation in ["count", "sum", "mean", "min", "max", "median", "std", "var"] {
                aggregates.append(.object([.init("op", .string(operation)), .init("column", .string(column))]))
            }
            for operation in ["std", "var"] {
                aggregates.append(
                    .object([
                        .init("op", .string(operation)), .init("column", .string(column)), .init("ddof", .integer(1)),
                        .init("as", .string("sample_\(operation)_\(column)")),
                    ]))
            }
        }
        let work = try Workspace()
        let result = try await work.run(
            "data",
            JSONValue.object([
                .init("input", .object([.init("format", .string("csv")), .init("text", .string(csv))])),
                .init("group_by", .array([.string("group")])), .init("aggregate", .array(aggregates)),
            ]).rendered)
        let script = """
            import csv, io, math, numpy
            rows = list(csv.DictReader(io.StringIO(data['csv'])))
            figures = {'count': len, 'sum': math.fsum, 'mean': numpy.mean, 'min': numpy.min, 'max': numpy.max,
                       'median': numpy.median, 'std': numpy.std, 'var': numpy.var,
                       'sample_std': lambda v: numpy.std(v, ddof=1), 'sample_var': lambda v: numpy.var(v, ddof=1)}
            worst, compared = 0, 0
            for group in data['result']['rows']:
                for column in ('whole', 'real', 'wild'):
                    members = [r for r in rows if r['group'] == (group['group'] or '') and r[column]]
                    values = numpy.array([float(r[column]) for r in members])
                    for name, figure in figures.items():
                        have, want = group[name + '_' + column], float(figure(values))
                        # numpy's mean is rounded against the size of its terms, not of the result.
                        scale = numpy.abs(values).mean() if name == 'mean' else abs(want)
                        worst, compared = max(worst, abs(have - want) / scale), compared + 1
            answer([worst, compared, type(data['result']['rows'][0]['sum_whole']).__name__])
            """
        let answer = try Oracle.ask(
            script, .object([.init("csv", .string(csv)), .init("result", result)])
        ).elements
        #expect(answer.count == 3)
        let worst = try #require(answer.first.flatMap { Cell($0)?.double })
        #expect(worst < 1e-12)
        #expect(answer[1] == .integer(4 * 3 * 10))
        #expect(answer[2] == .string("int"))
    }
}

import TaskExecution

/// `data`: a query on one table.
///
///     {"input": {"format": "csv", "text": "species,length\nsetosa,5.1\n..."},
///      "filter": [{"column": "length", "op": ">", "value": 4}],
///      "group_by": ["species"],
///      "aggregate": [{"op": "mean", "column": "length", "as": "mean_length"}, {"op": "count"}],
///      "sort": [{"column": "mean_length", "descending": true}], "limit": 10, "select": ["species", "mean_length"]}
///
/// - `input`: `format` `csv` or `json`, with the content in `text` or in `file` (a path under the work folder), or JSON
///   objects in `rows`. CSV takes `delimiter`, `header` (false: the first record is data) and `columns` (names that
///   replace the header's). See `CSVParser` and `Table` for what a field becomes.
/// - `filter`: all of them must hold; see `Filter`. `aggregate`: see `Aggregate`. The order of steps: see
///   `DataPipeline`.
///
/// The result is `{"columns": [names], "rows": [objects], "input_rows": n}`.
struct DataHandler: TaskHandler {
    let taskType = "data"

    func run(_ attempt: TaskAttempt) async throws -> [UInt8] {
        try await OffloadPool.shared.run { flag in
            let query = try DataQuery(try JSONParser.parse(attempt.payload))
            return try DataPipeline(
                query: query, folder: WorkFolder(attempt.workDirectory), flag: flag
            ).run()
        }
    }
}

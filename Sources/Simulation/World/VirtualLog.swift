import Logging
import Primitives

/// What a node logs goes to the world's sink, with true time and the node's number.
struct VirtualLog: LogHandler {
    let node: Int
    let timeline: Timeline
    let sink: (@Sendable (Int, Logger.Level, String) -> Void)?
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let words = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        timeline.trace.note("\(event.level): \(event.message)\(words)", node: node, at: timeline.now)
        sink?(node, event.level, "\(event.message)\(words)")
    }
}

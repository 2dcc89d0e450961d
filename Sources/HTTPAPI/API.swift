import APIModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Primitives
import Service

/// What the routes share. Its extensions, one per resource, are the routes.
struct API: Sendable {
    let service: any ClusterService
    /// Wall-clock time: what `run_at` and `expires_at` are relative to.
    let clock: @Sendable () -> Timestamp
    let bodies = BodyBudget()
    let logger: Logger

    func json(
        _ document: some JSONWritable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:],
        reserving: Int = 512
    ) -> Response {
        var fields = headers
        fields[.contentType] = "application/json"
        let body = ByteBuffer(bytes: JSONWriter.bytes(of: document, reserving: reserving))
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: body))
    }

    /// The id in a path. What cannot be an id is not found.
    func taskID(_ request: APIRequest) throws(Problem) -> TaskID {
        guard let id = TaskID(request.parameter) else {
            throw Problem(.notFound, "\(quoted(request.parameter)) is not the id of a task: ids are UUIDs")
        }
        return id
    }

    func unknownTask(_ id: TaskID) -> Problem {
        Problem(.notFound, "no task \(id); it never was, or its result was deleted long ago", id: id)
    }
}

import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// What a route may know of the connection.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

/// Finds the route of a request and turns whatever it throws into a problem document.
///
/// `HEAD` answers like `GET` without the body, `OPTIONS` tells the methods; a path that exists answers any other method
/// with 405 and `Allow`.
struct APIResponder: HTTPResponder {
    let api: API
    let routes: RouteTable

    func respond(to request: Request, context: APIContext) async throws -> Response {
        guard api.logger.logLevel <= .debug else { return try await answer(request, context) }
        let clock = ContinuousClock()
        let start = clock.now
        let response = try await answer(request, context)
        api.logger.debug(
            "answered",
            metadata: [
                "method": "\(request.method)", "path": "\(request.head.path ?? "")",
                "status": "\(response.status.code)",
                "ms": "\((clock.now - start).milliseconds)",
            ])
        return response
    }

    private func answer(_ request: Request, _ context: APIContext) async throws -> Response {
        do {
            return try await route(request, context)
        } catch let problem as Problem {
            return request.method == .head ? problem.response.createHeadResponse() : problem.response
        } catch let lost as ConnectionLost {
            throw lost.cause
        } catch {
            api.logger.error("a route failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            return Problem(.internalError, "see the log of node \(api.service.nodeName)").response
        }
    }

    private func route(_ request: Request, _ context: APIContext) async throws -> Response {
        let target = request.head.path ?? ""
        guard target.utf8.count <= APILimits.uriBytes else {
            throw Problem(.uriTooLong, "a URI may have \(APILimits.uriBytes) bytes")
        }
        guard let (endpoint, parameter) = routes.find(request.uri.path) else {
            if target == "*", request.method == .options { return Response(status: .noContent) }
            throw Problem(.notFound, "there is nothing at \(quoted(request.uri.path)); /docs tells what there is")
        }
        let method = request.method == .head ? .get : request.method
        if let route = endpoint[method] {
            let response = try await route.handler(
                api, APIRequest(request: request, channel: context.channel, parameter: parameter))
            return request.method == .head ? response.createHeadResponse() : response
        }
        if method == .options { return Response(status: .noContent, headers: [.allow: endpoint.allow]) }
        throw Problem(
            .methodNotAllowed, "\(quoted(request.method.rawValue)) does not exist here, but \(endpoint.allow)",
            headers: [.allow: endpoint.allow])
    }
}

import APIModel
import Hummingbird

/// The OpenAPI 3.1 document, made of the routes themselves: it cannot forget one.
enum OpenAPI {
    static let document: JSONValue = [
        "openapi": "3.1.0",
        "info": [
            "title": "Apus", "version": "1",
            "description": "A distributed task queue without a broker. Any node answers every request.",
        ],
        "paths": .object(paths), "components": ["schemas": .object(Schemas.all)],
    ]

    private static let paths: [String: JSONValue] = {
        var paths: [String: [String: JSONValue]] = [:]
        for route in Route.all {
            for path in [route.path] + route.aliases {
                paths[path, default: [:]][route.method.rawValue.lowercased()] = operation(of: route, at: path)
            }
        }
        return paths.mapValues { .object($0) }
    }()

    private static func operation(of route: Route, at path: String) -> JSONValue {
        let operation = route.operation
        let isAlias = path != route.path
        var members: [String: JSONValue] = [
            "operationId": .string(operation.id + (isAlias ? "Alias" : "")),
            "summary": .string(isAlias ? "The same as \(route.path)." : operation.summary),
            "responses": .object(responses(of: operation)),
        ]
        if !operation.parameters.isEmpty { members["parameters"] = .array(operation.parameters.map(parameter)) }
        if let body = operation.body {
            var content: [String: JSONValue] = ["application/json": ["schema": Schemas.reference(body)]]
            if operation.takesLines {
                content["application/x-ndjson"] = ["schema": ["type": "string", "description": "One task a line."]]
            }
            members["requestBody"] = ["required": .bool(!operation.isBodyOptional), "content": .object(content)]
        }
        return .object(members)
    }

    private static func parameter(_ parameter: Operation.Parameter) -> JSONValue {
        var members: [String: JSONValue] = [
            "name": .string(parameter.name), "in": .string(parameter.place), "schema": parameter.schema,
            "description": .string(parameter.description), "required": .bool(parameter.place == "path"),
        ]
        // Separated by commas.
        if parameter.schema["type"] == "array" { members["explode"] = false }
        return .object(members)
    }

    private static func responses(of operation: Operation) -> [String: JSONValue] {
        var responses: [String: JSONValue] = [:]
        for answer in operation.answers {
            let schema = answer.schema.map(Schemas.reference) ?? ["type": "string"]
            var response: [String: JSONValue] = ["description": .string(answer.description)]
            if answer.status != 204 { response["content"] = .object([answer.mediaType: ["schema": schema]]) }
            responses[String(answer.status)] = .object(response)
        }
        for kind in operation.problems { responses[String(kind.status.code)] = problem(kind.title) }
        responses["default"] = problem("Any other problem.")
        return responses
    }

    private static func problem(_ description: String) -> JSONValue {
        [
            "description": .string(description),
            "content": .object([Problem.contentType: ["schema": Schemas.reference("Problem")]]),
        ]
    }
}

extension API {
    private static let openAPIBytes = JSONWriter.bytes(of: OpenAPI.document, reserving: 64 << 10)

    func openAPI() -> Response { json(RawJSON(Self.openAPIBytes), reserving: Self.openAPIBytes.count) }

    /// A page that loads nothing from anywhere.
    func page(_ html: String) -> Response {
        let headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8",
            .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ]
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }
}
